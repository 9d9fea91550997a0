//! fork + exec of one child with exactly the descriptors, environment and user it is given.
//!
//! Everything the child needs is built before the fork: between fork and exec only async-signal-safe calls
//! are made, so the caller's locks and allocator do not matter. std's `Command` is not used because it
//! forgets a `LISTEN_PID` set between fork and exec, and because it cannot execute a descriptor.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag};
use nix::unistd::{ForkResult, Pid};

/// The first descriptor a child inherits beside the three standard ones (systemd's `SD_LISTEN_FDS_START`).
pub const FIRST_FD: RawFd = 3;

/// The user and group that a child runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// The numbers of the supplementary groups, in place of the caller's.
    pub groups: Vec<u32>,
}

/// What a child executes.
#[derive(Clone, Copy, Debug)]
pub enum Binary<'a> {
    /// An open descriptor of the binary, so that the file on disk may change meanwhile. It cannot be a
    /// script: its interpreter would be given the name of a descriptor that exec has closed.
    Open(BorrowedFd<'a>),
    /// A path, which may be that of a script: the program finds itself under this name. A relative one is
    /// meant from [`Spawn::directory`], and nothing is looked for in `PATH`.
    At(&'a CStr),
}

/// How a child finds its signals. None is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildSignals {
    /// SIGPIPE and SIGXFSZ at their defaults, those of [`NOT_FOR_WORKERS`] ignored, the rest as the caller
    /// has them.
    ///
    /// [`NOT_FOR_WORKERS`]: super::signals::NOT_FOR_WORKERS
    Worker,
    /// All at their defaults: the child is a program that knows nothing of this one.
    Defaults,
}

/// The child to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// What is executed.
    pub binary: Binary<'a>,
    /// The arguments; the first is the name of the program.
    pub args: &'a [CString],
    /// The whole environment, as `KEY=value`, but for `LISTEN_PID`.
    pub env: &'a [CString],
    /// Whether `LISTEN_PID`, with the child's own pid, is added to the environment.
    pub listen_pid: bool,
    /// The working directory, entered as the child's own user; when not given, the caller's.
    pub directory: Option<&'a CStr>,
    /// How the child finds its signals.
    pub signals: ChildSignals,
    /// The descriptors that become 0, 1 and 2 in the child.
    pub stdio: [BorrowedFd<'a>; 3],
    /// The descriptors that become 3, 4, 5 and so on. No other is open in the child.
    pub fds: &'a [BorrowedFd<'a>],
    /// Descriptors that the child has, too, under the same numbers as here. Only for children without `fds`,
    /// because the numbers could clash.
    pub keep: &'a [BorrowedFd<'a>],
    /// Whether the child is killed when its parent dies (the thread that calls [`spawn`] counts as the
    /// parent, and a set-user-ID program takes itself out), and has a session of its own for [`kill_group`].
    pub bound: bool,
    /// The `cgroup.procs` of the control group that the child begins in; when not given, or when the kernel
    /// refuses it, the caller's group.
    pub group: Option<BorrowedFd<'a>>,
    /// The user of the child, with `no_new_privs` and in a session of its own, which has no terminal and no
    /// keys of the caller's. When not given, the child stays the caller's user in the caller's session.
    pub credentials: Option<&'a Credentials>,
}

/// A child that has been executed.
#[derive(Debug)]
pub struct Child {
    /// The pid, for people and for `/proc`. Signals are sent by the pidfd.
    pub pid: i32,
    /// A descriptor that names this process and never another one.
    pub pidfd: OwnedFd,
}

/// Starts the child, and returns once it runs its own program.
///
/// # Errors
/// When fork, the preparation of the child or exec fails. A [`Spawn::directory`] that cannot be entered is
/// named.
pub fn spawn(spawn: &Spawn<'_>) -> io::Result<Child> {
    let prepared = Prepared::new(spawn)?;
    let (failure_reader, failure_writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the child calls only `Prepared::run`, which makes no call that is not async-signal-safe and
    // never returns.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => prepared.run(&failure_writer),
        ForkResult::Parent { child } => {
            drop(failure_writer);
            // The child was not reaped, so its pid cannot have been given out again.
            let pidfd = super::pidfd::open(child.as_raw());
            let failure = read_failure(&failure_reader);
            finish(
                child,
                pidfd,
                failure.map(|failure| failure.explained(spawn.directory)),
            )
        }
    }
}

/// Kills a [bound](Spawn::bound) child that was not reaped yet, and all processes that it has forked and left
/// behind.
///
/// # Errors
/// None that the system documents for a child that was not reaped.
pub fn kill_group(pid: i32) -> io::Result<()> {
    Ok(nix::sys::signal::killpg(
        Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )?)
}

fn finish(child: Pid, pidfd: io::Result<OwnedFd>, failure: Option<io::Error>) -> io::Result<Child> {
    match (pidfd, failure) {
        (Ok(pidfd), None) => Ok(Child {
            pid: child.as_raw(),
            pidfd,
        }),
        (pidfd, failure) => {
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(child, None);
            Err(failure
                .or_else(|| pidfd.err())
                .unwrap_or_else(io::Error::last_os_error))
        }
    }
}

/// Why a child could not become the program.
#[derive(Clone, Copy, Debug)]
struct ChildFailure {
    errno: Errno,
    /// Whether it was the working directory that failed.
    in_directory: bool,
}

impl ChildFailure {
    fn to_bytes(self) -> [u8; 5] {
        let [a, b, c, d] = (self.errno as i32).to_ne_bytes();
        [a, b, c, d, u8::from(self.in_directory)]
    }

    fn explained(self, directory: Option<&CStr>) -> io::Error {
        let error = io::Error::from(self.errno);
        match directory.filter(|_| self.in_directory) {
            Some(directory) => io::Error::new(
                error.kind(),
                format!("the working directory {}: {error}", directory.to_string_lossy()),
            ),
            None => error,
        }
    }
}

impl From<Errno> for ChildFailure {
    fn from(errno: Errno) -> ChildFailure {
        ChildFailure {
            errno,
            in_directory: false,
        }
    }
}

/// The failure of the child if it could not become the program; the pipe is closed by a successful exec.
fn read_failure(reader: &OwnedFd) -> Option<ChildFailure> {
    let mut bytes = [0_u8; 5];
    loop {
        match nix::unistd::read(reader, &mut bytes) {
            Ok(5) => {
                let [a, b, c, d, in_directory] = bytes;
                return Some(ChildFailure {
                    errno: Errno::from_raw(i32::from_ne_bytes([a, b, c, d])),
                    in_directory: in_directory != 0,
                });
            }
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// Pointers and buffers for the child, laid out before the fork.
struct Prepared<'a> {
    spawn: &'a Spawn<'a>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    listen_pid: Box<[u8; LISTEN_PID_LENGTH]>,
    /// Copies above every target descriptor, in target order: stdio, then `fds`.
    staged: Vec<OwnedFd>,
    binary: PreparedBinary<'a>,
    /// A copy above every target descriptor.
    group: Option<OwnedFd>,
    parent: Pid,
}

enum PreparedBinary<'a> {
    /// A copy above every target descriptor.
    Open(OwnedFd),
    At(&'a CStr),
}

const LISTEN_PID: &[u8] = b"LISTEN_PID=";
const LISTEN_PID_LENGTH: usize = LISTEN_PID.len() + 12;

impl<'a> Prepared<'a> {
    fn new(spawn: &'a Spawn<'a>) -> io::Result<Prepared<'a>> {
        let mut listen_pid = Box::new([0_u8; LISTEN_PID_LENGTH]);
        listen_pid[..LISTEN_PID.len()].copy_from_slice(LISTEN_PID);
        let mut envp = pointers(spawn.env);
        if spawn.listen_pid {
            envp.insert(0, listen_pid.as_ptr().cast());
        }
        let above = FIRST_FD + RawFd::try_from(spawn.fds.len()).map_err(io::Error::other)?;
        let sources = spawn.stdio.iter().chain(spawn.fds);
        let staged = sources
            .map(|fd| duplicate_above(*fd, above))
            .collect::<io::Result<_>>()?;
        let binary = match spawn.binary {
            Binary::Open(fd) => PreparedBinary::Open(duplicate_above(fd, above)?),
            Binary::At(path) => PreparedBinary::At(path),
        };
        let group = spawn.group.map(|fd| duplicate_above(fd, above)).transpose()?;
        Ok(Prepared {
            group,
            spawn,
            argv: pointers(spawn.args),
            envp,
            listen_pid,
            staged,
            binary,
            parent: nix::unistd::getpid(),
        })
    }

    /// The child's side: everything here is async-signal-safe.
    fn run(mut self, failure: &OwnedFd) -> ! {
        let why = self.exec();
        let _ = nix::unistd::write(failure, &why.to_bytes());
        // SAFETY: _exit ends this process at once and runs nothing of the parent's copied state.
        unsafe { libc::_exit(127) }
    }

    fn exec(&mut self) -> ChildFailure {
        write_decimal(
            &mut self.listen_pid[LISTEN_PID.len()..],
            nix::unistd::getpid().as_raw().unsigned_abs(),
        );
        match self.become_child() {
            Ok(()) => self.execute().into(),
            Err(failure) => failure,
        }
    }

    fn become_child(&self) -> Result<(), ChildFailure> {
        super::signals::reset_in_child(self.spawn.signals == ChildSignals::Defaults)?;
        for (target, source) in (0..).zip(&self.staged) {
            duplicate_onto(source.as_raw_fd(), target)?;
        }
        close_on_exec_from(self.staged.len())?;
        if let Some(group) = &self.group {
            // The child is the caller's user still. Outside of the group it is a child like any other.
            let _ = nix::unistd::write(group, b"0");
        }
        self.spawn
            .keep
            .iter()
            .try_for_each(|fd| set_close_on_exec(*fd, false))?;
        if self.spawn.bound || self.spawn.credentials.is_some() {
            nix::unistd::setsid()?;
        }
        self.spawn.credentials.map_or(Ok(()), take_credentials)?;
        if self.spawn.bound {
            // After the change of the user, with which the kernel forgets it.
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            // The parent may have died before.
            if nix::unistd::getppid() != self.parent {
                return Err(Errno::ESRCH.into());
            }
        }
        match self.spawn.directory.map_or(Ok(()), nix::unistd::chdir) {
            Ok(()) => Ok(()),
            Err(errno) => Err(ChildFailure {
                errno,
                in_directory: true,
            }),
        }
    }

    fn execute(&self) -> Errno {
        match &self.binary {
            // SAFETY: argv and envp are null-terminated arrays of pointers into C strings that `self` keeps
            // alive.
            PreparedBinary::Open(binary) => unsafe { execveat(binary.as_raw_fd(), &self.argv, &self.envp) },
            PreparedBinary::At(path) => {
                // SAFETY: as above, and the path is a C string that `self` keeps alive.
                let _ = unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
                Errno::last()
            }
        }
    }
}

/// Becomes the program behind a descriptor. Returns only the reason why not. Async-signal-safe.
///
/// # Safety
/// Both lists end with a null pointer, and every other entry points to a C string that lives.
pub(super) unsafe fn execveat(
    binary: RawFd,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
) -> Errno {
    // SAFETY: the caller's promise.
    let _ = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            binary,
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

pub(super) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|text| CStr::as_ptr(text))
        .chain([std::ptr::null()])
        .collect()
}

fn duplicate_above(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an integer and makes a new descriptor of one we borrow.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) };
    let copy = Errno::result(copy)?;
    // SAFETY: the descriptor was made by the call above and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Clears CLOEXEC, so that the program has this descriptor.
fn duplicate_onto(source: RawFd, target: RawFd) -> nix::Result<()> {
    // SAFETY: dup2 takes two integers; the targets belong to the child, which owns nothing else at those
    // numbers.
    Errno::result(unsafe { libc::dup2(source, target) }).map(drop)
}

/// Sets whether exec closes a descriptor. Async-signal-safe.
pub(super) fn set_close_on_exec(fd: BorrowedFd<'_>, closed: bool) -> nix::Result<()> {
    let flags = if closed {
        FdFlag::FD_CLOEXEC
    } else {
        FdFlag::empty()
    };
    nix::fcntl::fcntl(fd, FcntlArg::F_SETFD(flags)).map(drop)
}

/// The parent of this process may have left descriptors open that were never marked. exec is to close them
/// all.
pub(super) fn close_on_exec_from(lowest: usize) -> nix::Result<()> {
    // SAFETY: close_range takes three integers, and with CLOSE_RANGE_CLOEXEC it closes nothing yet.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            lowest,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    Errno::result(result).map(drop)
}

fn take_credentials(credentials: &Credentials) -> nix::Result<()> {
    let (uid, gid) = (
        nix::unistd::Uid::from_raw(credentials.uid),
        nix::unistd::Gid::from_raw(credentials.gid),
    );
    if nix::unistd::geteuid().is_root() {
        let groups = &credentials.groups;
        // SAFETY: the kernel reads as many numbers as the list has. The raw system call is per thread and
        // takes no lock.
        Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    }
    super::isolation::leave_keyring();
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    nix::sys::prctl::set_no_new_privs()
}

/// Decimal digits without allocating; the rest of the buffer stays zero.
fn write_decimal(buffer: &mut [u8], mut number: u32) {
    let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    for place in buffer.iter_mut().take(digits).rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests;
