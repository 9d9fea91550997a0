//! What the threads of another process wait for, as `/proc/PID/task/TID/syscall` says: the call that a thread
//! is in, with its arguments. To look at it takes the right to trace the process, which a parent of the same
//! user has. It must not know what follows from that.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use nix::libc;

use super::procfs;

/// A thread is looked at for no more descriptors than this in one call.
const MOST_POLLED: usize = 1024;
/// A process is looked at for no more threads than this.
const MOST_THREADS: usize = 256;

/// What a thread waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThreadWait {
    /// A connection of the listener at this descriptor.
    Accept(i32),
    /// An event of the epoll set at this descriptor.
    Epoll(i32),
    /// Something to read at one of these descriptors.
    Poll(Vec<i32>),
    /// It runs, or waits for something else.
    Other,
}

/// What each thread of a process waits for, with the thread's id.
///
/// # Errors
/// When the process is gone, or this user may not look.
pub fn of(pid: i32) -> io::Result<Vec<(i32, ThreadWait)>> {
    let mut waits = Vec::new();
    let mut refused = None;
    for thread in procfs::threads(pid).into_iter().take(MOST_THREADS) {
        match fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")) {
            Ok(text) => waits.push((thread, wait(pid, &text))),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if waits.is_empty() => Err(error),
        _ if waits.is_empty() => Err(io::ErrorKind::NotFound.into()),
        _ => Ok(waits),
    }
}

/// `232 0x4 0x7f… 0x400 0xffffffff 0x0 0x0 SP PC`: the number of the call in decimal, its six arguments.
/// `running` and `-1 SP PC` are threads that are in no call.
fn wait(pid: i32, text: &str) -> ThreadWait {
    let mut fields = text.split_whitespace();
    let number = fields.next().and_then(|number| number.parse::<i64>().ok());
    let mut argument = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
    let (Some(number), Some(first), Some(second)) = (number, argument(), argument()) else {
        return ThreadWait::Other;
    };
    let descriptor = i32::try_from(first).unwrap_or(-1);
    match number {
        libc::SYS_accept | libc::SYS_accept4 => ThreadWait::Accept(descriptor),
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => ThreadWait::Epoll(descriptor),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait => ThreadWait::Epoll(descriptor),
        libc::SYS_ppoll => polled(pid, first, second),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll => polled(pid, first, second),
        libc::SYS_pselect6 => selected(pid, first, second),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_select => selected(pid, first, second),
        _ => ThreadWait::Other,
    }
}

/// An array of `count` times `struct pollfd`: the descriptor, what is asked for, what was found.
fn polled(pid: i32, array: u64, count: u64) -> ThreadWait {
    const BYTES: usize = size_of::<libc::pollfd>();
    let count = usize::try_from(count).unwrap_or(MOST_POLLED).min(MOST_POLLED);
    let Ok(bytes) = memory(pid, array, count * BYTES) else {
        return ThreadWait::Other;
    };
    let asks = |one: &[u8]| {
        let fd = i32::from_ne_bytes(one[..4].try_into().ok()?);
        let events = i16::from_ne_bytes(one[4..6].try_into().ok()?);
        (events & libc::POLLIN != 0).then_some(fd)
    };
    ThreadWait::Poll(bytes.chunks_exact(BYTES).filter_map(asks).collect())
}

/// A set of `count` bits in words of the machine, each for the descriptor of its place.
fn selected(pid: i32, count: u64, set: u64) -> ThreadWait {
    const WORD: usize = size_of::<libc::c_ulong>();
    let count = usize::try_from(count).unwrap_or(MOST_POLLED).min(MOST_POLLED);
    let bytes = memory(pid, set, count.div_ceil(8 * WORD) * WORD);
    let (Ok(bytes), true) = (bytes, set != 0) else {
        return ThreadWait::Other;
    };
    let words = bytes.chunks_exact(WORD).map(|word| {
        let word = word.try_into().expect("a chunk has the bytes of a word");
        libc::c_ulong::from_ne_bytes(word)
    });
    let words: Vec<_> = words.collect();
    let is_set = |place: &usize| words[place / (8 * WORD)] >> (place % (8 * WORD)) & 1 == 1;
    let places = (0..count).filter(is_set);
    ThreadWait::Poll(places.filter_map(|place| i32::try_from(place).ok()).collect())
}

fn memory(pid: i32, address: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = vec![0; bytes];
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut read, address)?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::{Duration, Instant};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
    use nix::sys::select::{FdSet, select};

    use super::*;

    /// Waits until a thread is found that waits like this.
    fn until_found(expected: &ThreadWait) {
        let own = nix::unistd::getpid().as_raw();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = of(own).expect("readable");
            if found.iter().any(|(_, wait)| wait == expected) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "expected {expected:?}, found {found:?}"
            );
            std::thread::yield_now();
        }
    }

    /// Runs `wait` in a thread until it is found to wait as expected, and then connects, which ends it.
    fn is_seen(wait: impl FnOnce(&TcpListener) + Send, expected: impl FnOnce(i32) -> ThreadWait) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let expected = expected(listener.as_raw_fd());
        std::thread::scope(|scope| {
            scope.spawn(|| wait(&listener));
            until_found(&expected);
            let _client = TcpStream::connect(address).expect("connected");
        });
    }

    #[test]
    fn every_way_to_wait_for_a_connection_is_seen() {
        is_seen(|listener| drop(listener.accept()), ThreadWait::Accept);
        is_seen(
            |listener| {
                let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::NONE).expect("polled");
            },
            |fd| ThreadWait::Poll(vec![fd]),
        );
        is_seen(
            |listener| {
                let mut set = FdSet::new();
                set.insert(listener.as_fd());
                select(None, &mut set, None, None, None).expect("selected");
            },
            |fd| ThreadWait::Poll(vec![fd]),
        );
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll set");
        let set = epoll.0.as_raw_fd();
        is_seen(
            |listener| {
                epoll
                    .add(listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))
                    .expect("added");
                let mut events = [EpollEvent::empty()];
                epoll.wait(&mut events, EpollTimeout::NONE).expect("waited");
            },
            |_| ThreadWait::Epoll(set),
        );
    }

    #[test]
    fn a_thread_that_runs_or_sleeps_waits_for_no_descriptor() {
        for text in [
            "running\n",
            "-1 0x7ffd 0x7f00",
            "",
            "0 0x3",
            "35 0x1 0x2 0x0 0x0 0x0 0x0 0x1 0x2",
        ] {
            assert_eq!(wait(1, text), ThreadWait::Other, "{text}");
        }
        assert!(of(0).is_err(), "there is no such process");
    }
}
