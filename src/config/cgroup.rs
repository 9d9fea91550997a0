//! The control groups that bound a resource of this process, from the texts of `/proc/self/cgroup` and
//! `/proc/self/mountinfo`. Pure. After cgroups(7) and proc(5).

use std::path::{Component, Path, PathBuf};

/// One control group: a directory that may hold a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The version, which says how the files in the directory are called.
    pub version: CgroupVersion,
    /// The directory below the mount point of its controller.
    pub dir: PathBuf,
}

/// The version of the control group interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// Version 1: the bounds are in `cpu.cfs_quota_us`, `cpu.cfs_period_us` and `memory.limit_in_bytes`.
    V1,
    /// Version 2: the bounds are in `cpu.max` and `memory.max`.
    V2,
}

/// Every control group that may bound what this process gets of `controller` (`cpu` or `memory`): its own
/// group and all groups above it, because a bound holds for every group below. `cgroup` and `mountinfo` are
/// the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
#[must_use]
pub fn groups(controller: &str, cgroup: &str, mountinfo: &str) -> Vec<Cgroup> {
    let mounts: Vec<CgroupMount> = mountinfo
        .lines()
        .filter_map(|line| CgroupMount::parse(controller, line))
        .collect();
    cgroup
        .lines()
        .filter_map(|line| membership(controller, line))
        .flat_map(|(version, path)| groups_up_to_the_mount(&mounts, version, &path))
        .collect()
}

/// `0::/path` is version 2; `4:cpu,cpuacct:/path` is version 1.
fn membership(controller: &str, line: &str) -> Option<(CgroupVersion, PathBuf)> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    if number == "0" && controllers.is_empty() {
        return Some((CgroupVersion::V2, path.into()));
    }
    controllers
        .split(',')
        .any(|name| name == controller)
        .then(|| (CgroupVersion::V1, path.into()))
}

fn groups_up_to_the_mount(mounts: &[CgroupMount], version: CgroupVersion, path: &Path) -> Vec<Cgroup> {
    let Some(mount) = mounts.iter().find(|mount| mount.version == version) else {
        return Vec::new();
    };
    // Inside a container the root of the mount is the container's group, while `/proc/self/cgroup` may show
    // the path as it is outside of the container.
    let below = path
        .strip_prefix(&mount.root)
        .or_else(|_| path.strip_prefix("/"))
        .unwrap_or(path);
    let escapes = below.components().any(|part| part == Component::ParentDir);
    let leaf = if escapes {
        mount.point.clone()
    } else {
        mount.point.join(below)
    };
    leaf.ancestors()
        .take_while(|dir| dir.starts_with(&mount.point))
        .map(|dir| Cgroup {
            version,
            dir: dir.to_owned(),
        })
        .collect()
}

struct CgroupMount {
    version: CgroupVersion,
    root: PathBuf,
    point: PathBuf,
}

impl CgroupMount {
    /// `36 35 98:0 /root /point options… - type source superoptions`
    fn parse(controller: &str, line: &str) -> Option<CgroupMount> {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut kind = right.split(' ');
        let version = match (kind.next()?, kind.nth(1)) {
            ("cgroup2", _) => CgroupVersion::V2,
            ("cgroup", Some(options)) if options.split(',').any(|name| name == controller) => {
                CgroupVersion::V1
            }
            (_, _) => return None,
        };
        Some(CgroupMount {
            version,
            root: root.into(),
            point: point.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn every_group_along_the_path_is_looked_at() {
        let dirs: Vec<_> = groups("cpu", "0::/system.slice/shop.service\n", V2_MOUNT)
            .into_iter()
            .map(|group| group.dir)
            .collect();
        assert_eq!(
            dirs,
            [
                "/sys/fs/cgroup/system.slice/shop.service",
                "/sys/fs/cgroup/system.slice",
                "/sys/fs/cgroup"
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn version_1_has_the_cpu_controller_in_a_mount_of_its_own() {
        let mountinfo = "33 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                         34 30 0:31 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let found = groups(
            "cpu",
            "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
            mountinfo,
        );
        assert_eq!(
            found,
            [Cgroup {
                version: CgroupVersion::V1,
                dir: "/sys/fs/cgroup/cpu".into()
            }]
        );
    }

    #[test]
    fn a_group_outside_of_the_namespace_is_looked_at_from_the_mount() {
        let found = groups("cpu", "0::/../other\n", V2_MOUNT);
        assert_eq!(
            found,
            [Cgroup {
                version: CgroupVersion::V2,
                dir: "/sys/fs/cgroup".into()
            }]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(cgroup in "([0-9]:[a-z,]{0,8}:/[./a-z]{0,12}\n){0,4}.{0,20}", mountinfo in any::<String>()) {
            for group in groups("cpu", &cgroup, &format!("{V2_MOUNT}{mountinfo}")) {
                prop_assert!(group.dir.starts_with("/sys/fs/cgroup"));
            }
        }
    }
}
