//! What `/proc` says of the descriptors of another process: which sockets it has, and which sockets its epoll
//! sets watch. It must not know what follows from that.

use std::fs;
use std::io::{self, BufRead};

use nix::libc;

/// A descriptor that is a socket or an epoll set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpenDescriptor {
    /// Its number in the process.
    pub fd: i32,
    /// What it is.
    pub kind: OpenKind,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpenKind {
    /// A socket with this inode, which names it on this machine.
    Socket(u64),
    /// An epoll set.
    Epoll,
}

/// The sockets and epoll sets among the first `most` descriptors of a process, and how many descriptors there
/// are.
///
/// # Errors
/// When the process is gone, or this user may not look.
pub fn of(pid: i32, most: usize) -> io::Result<(Vec<OpenDescriptor>, usize)> {
    let mut found = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        count += 1;
        if count > most {
            continue;
        }
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let kind = fs::read_link(entry.path())
            .ok()
            .and_then(|target| kind(target.to_str()?));
        if let (Some(fd), Some(kind)) = (number, kind) {
            found.push(OpenDescriptor { fd, kind });
        }
    }
    Ok((found, count))
}

/// The inode of the socket that a process has at this descriptor; `None` when there is none, or it cannot be
/// read.
#[must_use]
pub fn socket_at(pid: i32, fd: i32) -> Option<u64> {
    let target = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    match kind(target.to_str()?)? {
        OpenKind::Socket(inode) => Some(inode),
        OpenKind::Epoll => None,
    }
}

fn kind(target: &str) -> Option<OpenKind> {
    if target == "anon_inode:[eventpoll]" {
        return Some(OpenKind::Epoll);
    }
    let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
    inode.parse().ok().map(OpenKind::Socket)
}

/// Whether an epoll set of a process watches one of these sockets for something to read.
///
/// # Errors
/// When the process or the set is gone, or this user may not look.
pub fn watches(pid: i32, epoll: i32, inodes: &[u64]) -> io::Result<bool> {
    let file = fs::File::open(format!("/proc/{pid}/fdinfo/{epoll}"))?;
    for line in io::BufReader::new(file).lines() {
        if watched(&line?).is_some_and(|inode| inodes.contains(&inode)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `tfd:        5 events:       19 data:                5  pos:0 ino:3f5 sdev:8`. Numbers behind `events` and
/// `ino` are hexadecimal. A set keeps a member whose events were switched off, as EPOLLONESHOT does.
fn watched(line: &str) -> Option<u64> {
    let fields = line.strip_prefix("tfd:")?;
    let hexadecimal = |name: &str| {
        let behind = fields.split_once(name)?.1.split_whitespace().next()?;
        u64::from_str_radix(behind, 16).ok()
    };
    let reads = hexadecimal("events:")? & u64::from(libc::EPOLLIN.unsigned_abs()) != 0;
    reads.then(|| hexadecimal("ino:")).flatten()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

    use super::*;

    #[test]
    fn sockets_are_found_and_so_are_the_epoll_sets_that_watch_them() {
        let own = nix::unistd::getpid().as_raw();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let inode = socket_at(own, listener.as_raw_fd()).expect("a socket");
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll set");
        let set = epoll.0.as_raw_fd();
        let (found, count) = of(own, 4096).expect("readable");
        assert!(count >= found.len());
        for (fd, kind) in [
            (listener.as_raw_fd(), OpenKind::Socket(inode)),
            (set, OpenKind::Epoll),
        ] {
            assert!(found.contains(&OpenDescriptor { fd, kind }), "{found:?}");
        }
        assert_eq!(of(own, 0).expect("readable").0, []);

        assert!(!watches(own, set, &[inode]).expect("readable"), "it is empty");
        let event = |flags| EpollEvent::new(flags, 7);
        epoll.add(&listener, event(EpollFlags::EPOLLIN)).expect("added");
        assert!(watches(own, set, &[1, inode]).expect("readable"));
        assert!(!watches(own, set, &[1]).expect("readable"));
        epoll
            .modify(&listener, &mut event(EpollFlags::EPOLLONESHOT))
            .expect("switched off");
        assert!(!watches(own, set, &[inode]).expect("readable"));
        assert_eq!(socket_at(own, set), None);
        assert!(of(0, 10).is_err() && watches(own, -1, &[inode]).is_err());
    }

    #[test]
    fn lines_of_another_shape_are_skipped() {
        for line in [
            "",
            "pos:\t0",
            "tfd: 5",
            "tfd: 5 events: 1 data: 5",
            "tfd: 5 events: zz ino:1",
        ] {
            assert_eq!(watched(line), None, "{line}");
        }
        let line = "tfd:        5 events:       19 data:                5  pos:0 ino:3f5 sdev:8";
        assert_eq!(watched(line), Some(0x3f5));
    }
}
