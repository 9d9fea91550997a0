//! Control groups of programs. Where the service manager has delegated its group to this cluster
//! (`Delegate=yes` of systemd), each worker of a program has a group of its own below it: what is in it when
//! the worker has ended is killed by `cgroup.kill`, whatever session or environment it has given itself. (A
//! process that may change the groups can move itself to another one.) Elsewhere there are no groups. After
//! cgroups(7) and systemd's CGROUP_DELEGATION.md.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use tracing::{debug, info, warn};

use crate::base::ids::Life;
use crate::config::cgroup::{CgroupVersion, groups};
use crate::sys::xattr;

/// What systemd marks a group with that it leaves to the processes in it: the first where a service manager of
/// the system did it, the second where a manager of a user did.
const DELEGATED: [&std::ffi::CStr; 2] = [c"trusted.delegate", c"user.delegate"];

/// The groups of the programs of one cluster.
#[derive(Debug, Default)]
pub(in crate::master) struct ProgramGroups {
    /// `None` where nothing is delegated.
    below: Option<GroupsBelow>,
}

#[derive(Debug)]
struct GroupsBelow {
    /// The directory of this process's own group.
    directory: PathBuf,
    /// Begins the names of the groups of this cluster: other clusters may have theirs beside them.
    prefix: String,
}

impl ProgramGroups {
    /// The groups of the cluster over that data directory.
    pub(in crate::master) fn find(data_dir: &Path) -> ProgramGroups {
        ProgramGroups {
            below: own_delegated_group().and_then(|directory| GroupsBelow::of(directory, data_dir)),
        }
    }

    /// Makes the group of a worker. What is returned takes the process that writes "0" to it into the group.
    pub(in crate::master) fn make(&self, life: Life) -> Option<File> {
        let group = self.below.as_ref()?.group(life);
        let made = DirBuilder::new()
            .mode(0o755)
            .create(&group)
            .and_then(|()| OpenOptions::new().write(true).open(group.join("cgroup.procs")));
        made.inspect_err(|error| warn!(%life, "failed to make {}: {error}", group.display()))
            .ok()
    }

    /// Kills what is left in the groups of lives that have ended, and removes the groups that are empty.
    pub(in crate::master) fn end_all_but(&self, is_alive: impl Fn(Life) -> bool) {
        let Some(below) = &self.below else { return };
        for (life, group) in below.all() {
            if !is_alive(life) {
                end(life, &group);
            }
        }
    }
}

impl GroupsBelow {
    fn of(directory: PathBuf, data_dir: &Path) -> Option<GroupsBelow> {
        let data = fs::metadata(data_dir).ok()?;
        Some(GroupsBelow {
            directory,
            prefix: format!("cluster-{}-{}-", data.dev(), data.ino()),
        })
    }

    fn group(&self, life: Life) -> PathBuf {
        let name = life.to_string().replace('/', "-");
        self.directory.join(format!("{}{name}", self.prefix))
    }

    fn all(&self) -> Vec<(Life, PathBuf)> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let life = |name: &str| name.strip_prefix(&self.prefix)?.replace('-', "/").parse().ok();
        entries
            .filter_map(|entry| Some((life(entry.file_name().to_str()?)?, entry.path())))
            .collect()
    }
}

fn end(life: Life, group: &Path) {
    let is_populated = fs::read_to_string(group.join("cgroup.events"))
        .is_ok_and(|events| events.lines().any(|line| line == "populated 1"));
    if is_populated {
        let kill = OpenOptions::new().write(true).open(group.join("cgroup.kill"));
        match kill.and_then(|mut kill| kill.write_all(b"1")) {
            Ok(()) => info!(%life, "killed what was left in the control group of worker {life}"),
            // Before Linux 5.14 there is no such file, and what is left is killed one by one.
            Err(error) => debug!(%life, "failed to kill {}: {error}", group.display()),
        }
    }
    // What was killed takes a moment to be gone; the end of each brings the next look.
    if let Err(error) = remove(group) {
        debug!(%life, "failed to remove {}: {error}", group.display());
    }
}

/// Removes a group and those that its processes have made below it.
fn remove(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

/// The directory of the group that this process is in, if it is left to it.
fn own_delegated_group() -> Option<PathBuf> {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let own = groups("none", &read("cgroup"), &read("mountinfo"));
    let own = own.into_iter().find(|group| group.version == CgroupVersion::V2)?;
    is_delegated(&own.dir).then_some(own.dir)
}

fn is_delegated(directory: &Path) -> bool {
    let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else {
        return false;
    };
    let is_set = |name| xattr::get(&path, name, &mut [0; 8]).is_ok_and(|value| value == b"1");
    DELEGATED.into_iter().any(is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(directory: &Path) -> GroupsBelow {
        GroupsBelow::of(directory.to_owned(), directory).expect("a directory")
    }

    #[test]
    fn a_group_is_known_by_its_life_and_by_its_cluster() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = below(directory.path());
        let life = Life::of(7, 2, 3);
        for name in ["cluster-1-1-7-2-3", "init.scope", "cluster-"] {
            fs::create_dir(directory.path().join(name)).expect("made");
        }
        fs::create_dir(below.group(life)).expect("made");
        assert_eq!(below.all(), [(life, below.group(life))]);
    }

    #[test]
    fn groups_of_ended_lives_are_removed_with_what_is_below_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = below(directory.path());
        let (ended, living) = (Life::of(1, 0, 1), Life::of(1, 1, 1));
        for life in [ended, living] {
            fs::create_dir_all(below.group(life).join("inner/most")).expect("made");
        }
        let kept = below.group(living);
        let groups = ProgramGroups { below: Some(below) };
        groups.end_all_but(|life| life == living);
        let left: Vec<_> = fs::read_dir(directory.path())
            .expect("readable")
            .flatten()
            .collect();
        assert_eq!(left.iter().map(fs::DirEntry::path).collect::<Vec<_>>(), [kept]);
    }
}
