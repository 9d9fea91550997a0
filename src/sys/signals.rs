//! Signals: those that the master receives as events of a descriptor, and the defaults that a child begins
//! with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook_registry::SigId;

/// The signals of a set as they arrive. Two of the same that arrive between two looks are one, as the kernel
/// has it.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    of_processes: OfProcesses,
}

impl Signals {
    /// From now on these signals do nothing by themselves; [`Signals::take`] returns them. The kernel sends
    /// those of `processes_only` for reasons of its own, too; they are returned only if a process sent them.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn hear(signals: &[Signal], processes_only: &[Signal]) -> io::Result<Signals> {
        // Its handler must have noted the sender before the other one reports the signal: the kernel runs
        // them in the order of their registration.
        let of_processes = OfProcesses::note(processes_only)?;
        let (read, write) = UnixStream::pair()?;
        let numbers: Vec<i32> = signals.iter().map(|&signal| signal as i32).collect();
        Ok(Signals {
            delivery: SignalDelivery::with_pipe(read, write, SignalOnly, numbers)?,
            of_processes,
        })
    }

    /// The signals that have arrived since the last call.
    pub fn take(&mut self) -> Vec<Signal> {
        let of_processes = &self.of_processes;
        let arrived = self
            .delivery
            .pending()
            .filter_map(|number| Signal::try_from(number).ok());
        arrived.filter(|&signal| of_processes.counts(signal)).collect()
    }
}

/// For each signal of a set: whether a process has sent it since the last look.
#[derive(Debug)]
struct OfProcesses {
    noted: Vec<NotedSignal>,
}

#[derive(Debug)]
struct NotedSignal {
    signal: Signal,
    by_process: Arc<AtomicBool>,
    registration: SigId,
}

impl OfProcesses {
    fn note(signals: &[Signal]) -> io::Result<OfProcesses> {
        let mut of_processes = OfProcesses { noted: Vec::new() };
        for &signal in signals {
            let by_process = Arc::new(AtomicBool::new(false));
            let registration = note_processes(signal, Arc::clone(&by_process))?;
            of_processes.noted.push(NotedSignal {
                signal,
                by_process,
                registration,
            });
        }
        Ok(of_processes)
    }

    /// Whether a signal that has arrived is one to be returned.
    fn counts(&self, signal: Signal) -> bool {
        let noted = self.noted.iter().find(|noted| noted.signal == signal);
        noted.is_none_or(|noted| noted.by_process.swap(false, Ordering::SeqCst))
    }
}

impl Drop for OfProcesses {
    fn drop(&mut self) {
        for noted in &self.noted {
            signal_hook_registry::unregister(noted.registration);
        }
    }
}

/// Sets the flag whenever a process sends this signal.
fn note_processes(signal: Signal, flag: Arc<AtomicBool>) -> io::Result<SigId> {
    let note = move |info: &nix::libc::siginfo_t| {
        // Positive codes are the kernel's: SI_KERNEL for a terminal's job control and its hang-up.
        if info.si_code <= 0 {
            flag.store(true, Ordering::SeqCst);
        }
    };
    // SAFETY: the handler reads a number and stores an atomic, both async-signal-safe, and it cannot panic.
    unsafe { signal_hook_registry::register_sigaction(signal as i32, note) }
}

/// While this lives, every signal that can be blocked is blocked, or one; dropping it restores the mask. The
/// mask survives exec, and so do the signals that wait: [`allow_all`] lets them come there.
#[derive(Debug)]
pub struct Blocked {
    before: SigSet,
}

impl Blocked {
    /// Blocks the signals.
    ///
    /// # Errors
    /// None that the system documents.
    pub fn all() -> io::Result<Blocked> {
        let mut before = SigSet::empty();
        nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        Ok(Blocked { before })
    }

    /// Blocks one signal for this thread.
    ///
    /// # Errors
    /// None that the system documents.
    pub fn one(signal: Signal) -> io::Result<Blocked> {
        let mut before = SigSet::empty();
        let set = SigSet::from(signal);
        nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before))?;
        Ok(Blocked { before })
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let set = nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
        debug_assert!(set.is_ok(), "a mask that the system gave can be set");
    }
}

/// Unblocks every signal. To be called when handlers for those that matter are in place.
///
/// # Errors
/// None that the system documents.
pub fn allow_all() -> io::Result<()> {
    Ok(nix::sys::signal::sigprocmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::empty()),
        None,
    )?)
}

impl AsFd for Signals {
    /// Readable when a signal has arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// Signals that a terminal, a hang-up or a person sends to the whole process group; only the master answers
/// them. Ignored signals stay ignored across exec, so a worker is safe from them before it has handlers of
/// its own. SIGTSTP is not among them, because a person who suspends a group at a terminal means all of it,
/// the master too.
pub const NOT_FOR_WORKERS: [Signal; 11] = [
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// Lets a write that would make a file longer than the limit (`ulimit -f`, `LimitFSIZE=`) fail with EFBIG. By
/// default the kernel ends the process with SIGXFSZ instead, so that a full log file would end the master and
/// a full database its workers.
pub fn ignore_file_size_signal() {
    let ignored = dispose(Signal::SIGXFSZ, SigHandler::SigIgn);
    debug_assert!(ignored.is_ok(), "SIGXFSZ can be ignored");
}

/// The last signal that the kernel knows.
const LAST_SIGNAL: libc::c_int = 64;
/// No architecture has a longer `struct sigaction` in the kernel.
const KERNEL_SIGACTION_WORDS: usize = 8;

/// Sets an empty mask, and SIGPIPE and SIGXFSZ as every program expects them: Rust's runtime ignores the
/// first, this program the second. The others are ignored as [`NOT_FOR_WORKERS`] has it, or all set to their
/// defaults. Handlers do not survive exec. Async-signal-safe.
pub(super) fn reset_in_child(all_to_defaults: bool) -> nix::Result<()> {
    if all_to_defaults {
        // The C library refuses to change two real-time signals that it keeps to itself, and a parent may have
        // ignored them, so the kernel is asked. It refuses SIGKILL and SIGSTOP alone.
        let default = [0_u64; KERNEL_SIGACTION_WORDS];
        for number in 1..=LAST_SIGNAL {
            // SAFETY: the kernel reads an action of zeros, which is SIG_DFL without flags, so nothing can run at a
            // bad time; the size of the mask is the kernel's.
            unsafe {
                libc::syscall(
                    libc::SYS_rt_sigaction,
                    number,
                    default.as_ptr(),
                    std::ptr::null_mut::<u64>(),
                    size_of::<u64>(),
                )
            };
        }
    } else {
        for signal in NOT_FOR_WORKERS {
            dispose(signal, SigHandler::SigIgn)?;
        }
        dispose(Signal::SIGPIPE, SigHandler::SigDfl)?;
        dispose(Signal::SIGXFSZ, SigHandler::SigDfl)?;
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Ends this process by a signal, as a program ended that it answered for, so that its own parent sees the
/// same end. There is no second core dump. For a signal that ends nobody, the process exits with 128 and its
/// number added, as a shell does.
pub fn die_of(signal: i32) -> ! {
    // A limit of 0 does not keep the kernel from piping a dump to a program; this does.
    let _ = nix::sys::prctl::set_dumpable(false);
    // SAFETY: SIG_DFL is no handler of this program, so nothing can run at a bad time.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let stops_or_is_ignored = [
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGCONT,
        libc::SIGCHLD,
        libc::SIGURG,
        libc::SIGWINCH,
    ];
    if !stops_or_is_ignored.contains(&signal) {
        // Blocked or sent to another thread, it could come too late.
        let _ = allow_all();
        // SAFETY: raise takes an integer.
        unsafe { libc::raise(signal) };
    }
    // SAFETY: _exit ends this process at once.
    unsafe { libc::_exit(128_i32.saturating_add(signal)) }
}

fn dispose(signal: Signal, how: SigHandler) -> nix::Result<()> {
    // SAFETY: SIG_IGN and SIG_DFL are no handlers of this program, so nothing can run at a bad time.
    unsafe { nix::sys::signal::signal(signal, how) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_while_all_wait_comes_afterwards() {
        // Not SIGURG, which the other test counts.
        let mut signals = Signals::hear(&[Signal::SIGIO], &[]).expect("signals");
        let blocked = Blocked::all().expect("blocked");
        nix::sys::signal::raise(Signal::SIGIO).expect("raised");
        assert_eq!(signals.take(), []);
        drop(blocked);
        assert_eq!(signals.take(), [Signal::SIGIO]);
    }

    #[test]
    fn a_signal_is_told_once() {
        let mut signals = Signals::hear(&[Signal::SIGURG], &[Signal::SIGURG]).expect("signals");
        nix::sys::signal::raise(Signal::SIGURG).expect("raised");
        let mut ready = [nix::poll::PollFd::new(
            signals.as_fd(),
            nix::poll::PollFlags::POLLIN,
        )];
        assert_eq!(nix::poll::poll(&mut ready, 10_000_u16).expect("polled"), 1);
        assert_eq!(signals.take(), [Signal::SIGURG]);
        assert_eq!(signals.take(), []);
    }

    #[test]
    fn a_process_ends_as_the_program_did_that_it_answered_for() {
        use nix::sys::wait::{WaitStatus, waitpid};
        use nix::unistd::{ForkResult, fork};

        for (signal, expected) in [
            (libc::SIGTERM, Some(Signal::SIGTERM)),
            (libc::SIGKILL, Some(Signal::SIGKILL)),
            (libc::SIGABRT, Some(Signal::SIGABRT)),
            (libc::SIGSTOP, None),
            (libc::SIGCHLD, None),
        ] {
            // SAFETY: the child calls nothing but what is async-signal-safe.
            let child = match unsafe { fork() }.expect("forked") {
                ForkResult::Child => die_of(signal),
                ForkResult::Parent { child } => child,
            };
            match (waitpid(child, None).expect("reaped"), expected) {
                (WaitStatus::Signaled(_, found, core), Some(signal)) => {
                    assert_eq!((found, core), (signal, false))
                }
                (WaitStatus::Exited(_, code), None) => assert_eq!(code, 128 + signal),
                (status, _) => panic!("{signal}: {status:?}"),
            }
        }
    }
}
