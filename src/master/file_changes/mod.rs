//! `run.watch`: files and directories whose change reloads, for development. One inotify descriptor tells of
//! changes; nothing is polled, and there is none when nothing is watched. Which reload follows is decided
//! elsewhere: it is an ordinary one.

mod debounce;
mod ignored;
mod tree;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use tracing::{info, warn};

use self::debounce::Debounce;
use self::tree::WatchedTree;
use super::host::Host;
use super::poller::PollSource;
use crate::base::ids::Generation;
use crate::base::time::Monotonic;
use crate::config::Settings;
use crate::pool::{Event, Pool, Request, Ticket};

/// The paths that are watched, and what has changed there.
#[derive(Debug)]
pub(super) struct FileWatch {
    /// As they are configured.
    paths: Vec<PathBuf>,
    tree: WatchedTree,
    debounce: Debounce,
    /// The first path that has changed since the last reload.
    changed: Option<PathBuf>,
}

impl FileWatch {
    fn open(settings: &Settings, ignored: Vec<PathBuf>) -> io::Result<FileWatch> {
        let paths = settings.run.watch.clone();
        Ok(FileWatch {
            tree: WatchedTree::open(&paths, ignored)?,
            paths,
            debounce: Debounce::default(),
            changed: None,
        })
    }

    fn read(&mut self, now: Monotonic) {
        if let Some(path) = self.tree.changed() {
            self.debounce.changed(now);
            self.changed.get_or_insert(path);
        }
    }
}

impl AsFd for FileWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }
}

impl Host {
    /// Watches the files that the configuration of this generation names: it is in effect now.
    pub(super) fn watch_files(&mut self, number: Generation) {
        let Some(settings) = self.generations.get(&number).map(|loaded| &loaded.settings) else {
            return;
        };
        let watched = self.file_watch.as_ref().map_or(&[][..], |watch| &watch.paths);
        if watched == settings.run.watch {
            return;
        }
        if settings.run.watch.is_empty() {
            self.file_watch = None;
            return;
        }
        let mut ignored = vec![self.directories.data.clone(), self.directories.run.clone()];
        ignored.extend(settings.run.log_file.clone());
        ignored.extend(settings.cluster.pid_file.clone());
        let opened = FileWatch::open(settings, ignored).and_then(|watch| {
            self.poller.add(&watch, PollSource::Files)?;
            Ok(watch)
        });
        match opened {
            Ok(watch) => self.file_watch = Some(watch),
            Err(error) => warn!("failed to watch files: {error}; their changes do not reload"),
        }
    }

    /// Reads which files have changed.
    pub(super) fn read_changed_files(&mut self, now: Monotonic) {
        if let Some(watch) = &mut self.file_watch {
            watch.read(now);
        }
    }

    /// When changes of files are acted upon.
    pub(super) fn file_watch_deadline(&self) -> Option<Monotonic> {
        self.file_watch.as_ref()?.debounce.deadline()
    }

    /// The reload that changes of files lead to, once they are over. One that came during an operation waits
    /// for its end, so that the files as they are then are taken.
    pub(super) fn reload_changed_files(&mut self, pool: &Pool, now: Monotonic) -> Option<Event> {
        let watch = self.file_watch.as_mut()?;
        if !watch.debounce.take(now) {
            return None;
        }
        if pool.is_stopping() {
            return None;
        }
        if pool.is_reloading() || pool.is_upgrading() {
            watch.debounce.changed(now);
            return None;
        }
        let changed = watch.changed.take().unwrap_or_default();
        info!(file = %changed.display(), "{} has changed: reloading", changed.display());
        Some(Event::Asked {
            ticket: Ticket::NOBODY,
            request: Request::Reload,
        })
    }
}
