//! Tests of `boot`.

use super::engine::check_older_workers_can_go_on;
use super::failures::{no_thread, unusable_store};
use super::*;
use crate::base::ids::Generation;
use crate::shop::orders;
use crate::store::OpenError;
use std::io;

fn exit_of(error: &BootError) -> Option<Exit> {
    error.downcast_ref().map(|refused: &BootRefused| refused.exit)
}

#[test]
fn exhausted_resources_are_no_disk_failure() {
    let errno = io::Error::from_raw_os_error;
    assert_eq!(exit_of(&no_thread(errno(libc::EAGAIN))), Some(Exit::NoResources));
    for (code, exit) in [
        (libc::EAGAIN, Exit::NoResources),
        (libc::EMFILE, Exit::NoResources),
        (libc::EIO, Exit::DiskFailed),
    ] {
        let error = OpenError::Io {
            path: "orders.db".into(),
            reason: errno(code),
        };
        assert_eq!(exit_of(&unusable_store(error)), Some(exit), "{code}");
    }
}

#[test]
fn a_later_generation_migrates_no_file_that_workers_before_it_could_not_use_then() {
    let dir = tempfile::tempdir().unwrap();
    let check = |generation| check_older_workers_can_go_on(Generation(generation), dir.path());
    assert!(check(2).is_ok(), "there is no file yet");
    let (id, path) = (orders::SCHEMA.application_id, dir.path().join(orders::FILE));
    let file = rusqlite::Connection::open(path).unwrap();
    let of_version = |version: i64| {
        let header = format!("PRAGMA application_id = {id}; PRAGMA user_version = {version}");
        file.execute_batch(&header).unwrap();
    };
    of_version(orders::OLDEST_COMPATIBLE - 1);
    assert!(check(1).is_ok(), "no worker of another program runs");
    let refused = check(2).unwrap_err();
    assert_eq!(exit_of(&refused), Some(Exit::BadData));
    assert!(refused.to_string().contains("stop the cluster"), "{refused}");
    of_version(orders::OLDEST_COMPATIBLE);
    assert!(check(2).is_ok());
}
