//! `preload.js` as a file that Node can load, and the variables that say so. The file lies in a folder that
//! belongs to the user of the program, with mode 0700: children of wrappers can read it, nobody else can
//! replace it. A shared lock on the folder says that it is in use, to us and to systemd-tmpfiles; what a
//! killed process left behind is removed by the next one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::{geteuid, mkdtemp};

const SOURCE: &str = include_str!("preload.js");
/// What the names of the folders begin with.
const PREFIX: &str = "cluster-node-";
const FILE: &str = "preload.js";
/// How often a folder is made anew that another process took for a remnant.
const TRIES: usize = 3;

/// The preload as a file. It is removed when this is dropped: programs must have ended by then, because each
/// worker thread of theirs loads it.
#[derive(Debug)]
pub struct NodePreload {
    folder: PathBuf,
    _in_use: Flock<File>,
}

impl NodePreload {
    /// Writes the file into a new folder below `parent`, such as `/tmp`.
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub fn install(parent: &Path) -> io::Result<NodePreload> {
        remove_remnants(parent);
        let mut made = Self::make(parent);
        for _ in 1..TRIES {
            match made {
                Err(error) if error.kind() == io::ErrorKind::NotFound => made = Self::make(parent),
                done => return done,
            }
        }
        made
    }

    fn make(parent: &Path) -> io::Result<NodePreload> {
        let folder = mkdtemp(&parent.join(format!("{PREFIX}XXXXXX")))?;
        let in_use = Flock::lock(File::open(&folder)?, FlockArg::LockShared).map_err(|(_, errno)| errno)?;
        let preload = NodePreload {
            folder,
            _in_use: in_use,
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(preload.file())?;
        file.write_all(SOURCE.as_bytes())?;
        Ok(preload)
    }

    /// The path of the file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

impl Drop for NodePreload {
    fn drop(&mut self) {
        // What is left is removed by the next start.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes folders of this user that no process uses any more.
fn remove_remnants(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes())) {
        let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
        let Ok(folder) = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(entry.path())
        else {
            continue;
        };
        let is_ours = folder
            .metadata()
            .is_ok_and(|metadata| metadata.uid() == geteuid().as_raw());
        if is_ours && let Ok(_locked) = Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What the environment of a Node program is made of.
#[derive(Debug)]
pub struct NodeVariables<'a> {
    /// The preload; without it only a program that is Node itself comes to its channel, and does not beat.
    pub preload: Option<&'a NodePreload>,
    /// The value of `NODE_OPTIONS` that the program would have otherwise.
    pub node_options: Option<&'a OsStr>,
    /// The number of the channel's descriptor in the program.
    pub channel: RawFd,
    /// The inode of the channel.
    pub channel_inode: u64,
    /// The number of the descriptor for beats in the program.
    pub beats: RawFd,
    /// How often the event loop beats.
    pub beat_interval: Duration,
    /// `cluster.worker.id`; Node counts from 1.
    pub worker_id: u64,
}

impl NodeVariables<'_> {
    /// The variables to set.
    #[must_use]
    pub fn list(&self) -> Vec<(&'static str, OsString)> {
        let Some(preload) = self.preload else {
            return vec![
                ("NODE_CHANNEL_FD", self.channel.to_string().into()),
                ("NODE_CHANNEL_SERIALIZATION_MODE", "json".into()),
                ("NODE_UNIQUE_ID", self.worker_id.to_string().into()),
            ];
        };
        let option = require_option(&preload.file());
        let mut options = self.node_options.map_or_else(OsString::new, OsStr::to_owned);
        if !options.is_empty() {
            options.push(" ");
        }
        options.push(&option);
        vec![
            ("NODE_OPTIONS", options),
            ("CLUSTER_NODE_OPTION", option),
            ("CLUSTER_NODE_WORKER_ID", self.worker_id.to_string().into()),
            ("CLUSTER_IPC_FD", self.channel.to_string().into()),
            ("CLUSTER_IPC_INODE", self.channel_inode.to_string().into()),
            ("CLUSTER_BEAT_FD", self.beats.to_string().into()),
            (
                "CLUSTER_BEAT_INTERVAL_MS",
                self.beat_interval.as_millis().max(1).to_string().into(),
            ),
        ]
    }
}

/// Node splits `NODE_OPTIONS` at spaces, outside double quotes in which a backslash escapes.
fn require_option(file: &Path) -> OsString {
    let bytes = file.as_os_str().as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/_.-+@".contains(byte);
    let mut option = b"--require ".to_vec();
    if bytes.iter().all(is_plain) {
        option.extend(bytes);
        return OsString::from_vec(option);
    }
    option.push(b'"');
    for byte in bytes {
        if b"\\\"".contains(byte) {
            option.push(b'\\');
        }
        option.push(*byte);
    }
    option.push(b'"');
    OsString::from_vec(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_readable_by_its_user_alone_and_goes_with_its_value() {
        let parent = tempfile::tempdir().expect("a folder");
        let preload = NodePreload::install(parent.path()).expect("installed");
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(&preload.folder), mode(&preload.file())), (0o700, 0o400));
        assert_eq!(fs::read_to_string(preload.file()).expect("readable"), SOURCE);
        drop(preload);
        assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_behind_is_removed_and_what_is_in_use_stays() {
        let parent = tempfile::tempdir().expect("a folder");
        let remnant = parent.path().join(format!("{PREFIX}gone"));
        fs::create_dir(&remnant).expect("made");
        fs::write(remnant.join("owner"), "1 2").expect("written");
        let elsewhere = parent.path().join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        std::os::unix::fs::symlink(&elsewhere, parent.path().join(format!("{PREFIX}link"))).expect("linked");
        let one = NodePreload::install(parent.path()).expect("installed");
        let two = NodePreload::install(parent.path()).expect("installed");
        assert!(one.file().exists() && two.file().exists() && elsewhere.exists());
        assert!(!remnant.exists());
    }

    #[test]
    fn the_option_follows_those_of_the_user() {
        let parent = tempfile::tempdir().expect("a folder");
        let preload = NodePreload::install(parent.path()).expect("installed");
        let variables = NodeVariables {
            preload: Some(&preload),
            node_options: Some(OsStr::new("--max-old-space-size=100")),
            channel: 3,
            channel_inode: 7,
            beats: 4,
            beat_interval: Duration::from_millis(250),
            worker_id: 1,
        };
        let list = variables.list();
        let value = |name: &str| &list.iter().find(|(key, _)| *key == name).expect("set").1;
        let expected = format!("--max-old-space-size=100 --require {}", preload.file().display());
        assert_eq!(value("NODE_OPTIONS"), OsStr::new(&expected));
        assert_eq!(value("CLUSTER_BEAT_INTERVAL_MS"), "250");
        let bare = NodeVariables {
            preload: None,
            ..variables
        };
        assert_eq!(bare.list()[0], ("NODE_CHANNEL_FD", "3".into()));
    }

    #[test]
    fn a_path_with_spaces_and_quotes_is_quoted() {
        let option = require_option(Path::new(r#"/a b/"c"\d/preload.js"#));
        assert_eq!(option, OsStr::new(r#"--require "/a b/\"c\"\\d/preload.js""#));
    }
}
