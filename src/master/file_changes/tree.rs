//! Directories that inotify watches, with those below them. It must not know what follows from a change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tracing::warn;

use super::ignored::{is_ignored_directory, is_ignored_file};
use crate::sys::paths::same_file;

/// The most directories that are watched.
const MAX_DIRECTORIES: usize = 8192;
/// The most reads of events before the master's other work has its turn; a read has many.
const MAX_READS: usize = 16;

/// What is watched: the paths of the configuration, and everything below those that are directories.
#[derive(Debug)]
pub(super) struct WatchedTree {
    inotify: Inotify,
    roots: Vec<PathBuf>,
    /// Paths of which no change counts.
    ignored: Vec<PathBuf>,
    directories: BTreeMap<WatchDescriptor, WatchedDirectory>,
    /// Whether a warning was logged that not everything is watched.
    shortage_reported: bool,
}

#[derive(Debug)]
struct WatchedDirectory {
    path: PathBuf,
    scope: WatchScope,
}

/// Which changes in a directory count.
#[derive(Debug)]
enum WatchScope {
    /// All that was named is watched.
    Everything,
    /// Those of these entries: the directory is only where a path of the configuration lies.
    Entries(BTreeSet<OsString>),
}

impl WatchedTree {
    /// Begins to watch these paths. What is not there yet is watched once it is.
    ///
    /// # Errors
    /// When the system allows no more inotify instances.
    pub(super) fn open(paths: &[PathBuf], ignored: Vec<PathBuf>) -> io::Result<WatchedTree> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let absolute = |path: &PathBuf| std::path::absolute(path);
        let roots: Vec<PathBuf> = paths.iter().map(absolute).collect::<io::Result<_>>()?;
        let mut tree = WatchedTree {
            inotify,
            roots: roots.clone(),
            ignored,
            directories: BTreeMap::new(),
            shortage_reported: false,
        };
        for root in &roots {
            if !root.exists() {
                warn!(file = %root.display(), "run.watch: {} does not exist yet", root.display());
            }
            tree.watch_root(root);
        }
        Ok(tree)
    }

    /// The first path of which a change counts that was not told of yet.
    pub(super) fn changed(&mut self) -> Option<PathBuf> {
        let mut changed = None;
        for _ in 0..MAX_READS {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        let path = self.handle(&event);
                        changed = changed.or(path);
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(error) => {
                    warn!("failed to read which files have changed: {error}");
                    break;
                }
            }
        }
        changed
    }

    fn handle(&mut self, event: &InotifyEvent) -> Option<PathBuf> {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            // Too many changes to be told one by one.
            for root in self.roots.clone() {
                self.watch_root(&root);
            }
            return self.roots.first().cloned();
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.directories.remove(&event.wd);
            return None;
        }
        let directory = self.directories.get(&event.wd)?;
        let name = event.name.as_deref()?;
        let path = directory.path.join(name);
        let is_root = match &directory.scope {
            WatchScope::Everything => false,
            WatchScope::Entries(names) if names.contains(name) => true,
            WatchScope::Entries(_) => return None,
        };
        if !is_root && self.is_ignored(event, name, &path) {
            return None;
        }
        let appeared = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        if event.mask.intersects(appeared) && path.is_dir() {
            self.watch_below(&path);
        }
        Some(path)
    }

    fn is_ignored(&self, event: &InotifyEvent, name: &OsStr, path: &Path) -> bool {
        let by_name = if event.mask.contains(AddWatchFlags::IN_ISDIR) {
            is_ignored_directory(name)
        } else {
            is_ignored_file(name)
        };
        by_name || self.is_excluded(path)
    }

    fn is_excluded(&self, path: &Path) -> bool {
        self.ignored
            .iter()
            .any(|ignored| ignored == path || same_file(ignored, path))
    }

    /// Watches a path of the configuration: its entry in the directory where it lies, since editors replace
    /// files and deployments replace directories, and everything below it.
    fn watch_root(&mut self, root: &Path) {
        if let (Some(parent), Some(name)) = (root.parent(), root.file_name()) {
            self.watch_entry(parent, name);
        }
        if root.is_dir() {
            self.watch_below(root);
        }
    }

    fn watch_entry(&mut self, directory: &Path, name: &OsStr) {
        let Some(descriptor) = self.add(directory) else {
            return;
        };
        let watched = self
            .directories
            .entry(descriptor)
            .or_insert_with(|| WatchedDirectory {
                path: directory.to_owned(),
                scope: WatchScope::Entries(BTreeSet::new()),
            });
        if let WatchScope::Entries(names) = &mut watched.scope {
            names.insert(name.to_owned());
        }
    }

    /// Watches a directory and those below it. Symbolic links are not followed.
    fn watch_below(&mut self, top: &Path) {
        let mut waiting = VecDeque::from([top.to_owned()]);
        while let Some(path) = waiting.pop_front() {
            if self.is_excluded(&path) {
                continue;
            }
            let Some(descriptor) = self.add(&path) else {
                continue;
            };
            let scope = WatchScope::Everything;
            let watched = WatchedDirectory {
                path: path.clone(),
                scope,
            };
            self.directories.insert(descriptor, watched);
            // Unreadable, or gone again: there is nothing to watch.
            let Ok(entries) = std::fs::read_dir(&path) else {
                continue;
            };
            let directories = entries.flatten().filter(|entry| {
                entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_ignored_directory(&entry.file_name())
            });
            waiting.extend(directories.map(|entry| entry.path()));
        }
    }

    /// Has the kernel watch one directory; `None` when it does not.
    fn add(&mut self, path: &Path) -> Option<WatchDescriptor> {
        if self.directories.len() >= MAX_DIRECTORIES {
            self.report_shortage(&format!(
                "only the first {MAX_DIRECTORIES} directories are watched; name fewer in run.watch"
            ));
            return None;
        }
        let mask = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.add_watch(path, mask) {
            Ok(descriptor) => Some(descriptor),
            Err(Errno::ENOSPC) => {
                self.report_shortage(
                    "this user may watch no more directories; raise the sysctl fs.inotify.max_user_watches, or \
                     name fewer in run.watch",
                );
                None
            }
            Err(error) => {
                warn!(file = %path.display(), %error, "failed to watch {}", path.display());
                None
            }
        }
    }

    fn report_shortage(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.shortage_reported, true) {
            warn!("changes of some files do not reload: {reason}");
        }
    }
}

impl AsFd for WatchedTree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Tree {
        directory: tempfile::TempDir,
        watched: WatchedTree,
    }

    impl Tree {
        /// Watches `app` and `one.js` of a directory that has both, and other files.
        fn new() -> Tree {
            let directory = tempfile::tempdir().expect("a directory");
            let at = |name: &str| directory.path().join(name);
            for name in ["app/src/deep", "app/.git", "app/node_modules/x", "app/data"] {
                fs::create_dir_all(at(name)).expect("made");
            }
            fs::write(at("one.js"), "").expect("written");
            let watched =
                WatchedTree::open(&[at("app"), at("one.js")], vec![at("app/data")]).expect("watched");
            Tree { directory, watched }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn write(&self, name: &str) {
            fs::write(self.path(name), "x").expect("written");
        }

        /// The change that is told of, as a path below the directory.
        fn changed(&mut self) -> Option<String> {
            let path = self.watched.changed()?;
            let below = path.strip_prefix(self.directory.path()).expect("below");
            Some(below.display().to_string())
        }
    }

    #[test]
    fn a_change_at_any_depth_counts_once() {
        let mut tree = Tree::new();
        assert_eq!(tree.changed(), None);
        for name in ["app/a.js", "app/src/deep/b.js", "one.js"] {
            tree.write(name);
            assert_eq!(tree.changed().as_deref(), Some(name));
            assert_eq!(tree.changed(), None);
        }
        fs::remove_file(tree.path("app/a.js")).expect("removed");
        assert_eq!(tree.changed().as_deref(), Some("app/a.js"));
    }

    #[test]
    fn what_nobody_edits_does_not_count() {
        let mut tree = Tree::new();
        for name in [
            "app/.git/index",
            "app/node_modules/x/index.js",
            "app/data/orders.db",
            "app/src/.a.js.swp",
            "other.js",
        ] {
            tree.write(name);
            assert_eq!(tree.changed(), None, "{name}");
        }
    }

    #[test]
    fn what_comes_later_is_watched_too() {
        let mut tree = Tree::new();
        fs::create_dir_all(tree.path("app/new/inner")).expect("made");
        assert_eq!(tree.changed().as_deref(), Some("app/new"));
        tree.write("app/new/inner/c.js");
        assert_eq!(tree.changed().as_deref(), Some("app/new/inner/c.js"));
        fs::rename(tree.path("app"), tree.path("old")).expect("moved");
        assert_eq!(tree.changed().as_deref(), Some("app"));
        fs::create_dir_all(tree.path("app/src")).expect("made");
        assert_eq!(tree.changed().as_deref(), Some("app"));
        tree.write("app/src/d.js");
        assert_eq!(tree.changed().as_deref(), Some("app/src/d.js"));
        fs::write(tree.path("swap.js"), "y").expect("written");
        fs::rename(tree.path("swap.js"), tree.path("one.js")).expect("moved");
        assert_eq!(tree.changed().as_deref(), Some("one.js"));
    }
}
