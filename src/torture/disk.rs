//! A small disk for the cluster's data, which can be filled: a tmpfs in a mount namespace of this process and
//! its children. The kernel allows that to root, and on many systems to every user within a user namespace.
//! The disk is filled by making it smaller, which takes no time and no memory, and emptied by making it
//! larger again.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;
use nix::unistd::{getegid, geteuid};

use crate::sys::private_file;

/// The size of the disk in bytes while it is not full: more than any torture writes.
const FULL_SIZE: u64 = 8 << 30;

/// A mounted disk.
#[derive(Debug)]
pub(super) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts the disk over an existing directory. Must be called before this process has a second thread.
    ///
    /// # Errors
    /// The reason why the system does not allow it.
    pub(super) fn mount(path: &Path) -> Result<SmallDisk, String> {
        enter_mount_namespace().map_err(|error| error.to_string())?;
        let disk = SmallDisk {
            path: path.to_owned(),
        };
        let size = format!("size={FULL_SIZE},mode=0700");
        mount(
            Some("torture"),
            path,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(size.as_str()),
        )
        .map_err(|errno| format!("mounting a tmpfs: {errno}"))?;
        Ok(disk)
    }

    /// Leaves at most `room` bytes free. `false` when the cluster wrote faster; then the disk stays as it
    /// was.
    pub(super) fn fill(&self, room: u64) -> bool {
        self.used().is_some_and(|used| self.resize(used + room).is_ok())
    }

    /// Makes the disk large again.
    pub(super) fn empty(&self) {
        // Growing a tmpfs cannot fail when mounting it succeeded.
        let _ = self.resize(FULL_SIZE);
    }

    /// Unmounts the disk, which deletes everything on it.
    pub(super) fn unmount(&self) {
        // When this fails, the disk is unmounted with the end of this process.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }

    /// Copies the files to a directory that outlives this process.
    pub(super) fn rescue(&self, to: &Path) -> std::io::Result<()> {
        private_file::create_directories(to)?;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let mut copy = private_file::create(&to.join(entry.file_name()))?;
                std::io::copy(&mut File::open(entry.path())?, &mut copy)?;
            }
        }
        Ok(())
    }

    fn used(&self) -> Option<u64> {
        let found = statvfs(&self.path).ok()?;
        Some((found.blocks() - found.blocks_free()) * found.fragment_size())
    }

    fn resize(&self, bytes: u64) -> nix::Result<()> {
        let size = format!("size={bytes}");
        let flags = MsFlags::MS_REMOUNT;
        mount(None::<&str>, &self.path, None::<&str>, flags, Some(size.as_str()))
    }
}

/// Moves this process into a mount namespace of its own, whose mounts no other process sees.
fn enter_mount_namespace() -> std::io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        unshare(CloneFlags::CLONE_NEWNS)?;
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        let write = |file: &str, text: String| -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).open(file)?;
            file.write_all(text.as_bytes())
        };
        write("/proc/self/setgroups", "deny".to_owned())?;
        write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    Ok(())
}
