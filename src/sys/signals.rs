//! Signals: those the master hears as events of a descriptor, and the clean slate a child begins with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// The signals of a set as they arrive. Two of the same that arrive between two looks are one, as the kernel has it.
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// From now on these do nothing by themselves but are told by [`Signals::take`].
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn hear(signals: &[Signal]) -> io::Result<Signals> {
        let (read, write) = UnixStream::pair()?;
        let numbers: Vec<i32> = signals.iter().map(|&signal| signal as i32).collect();
        Ok(Signals {
            delivery: SignalDelivery::with_pipe(read, write, SignalOnly, numbers)?,
        })
    }

    /// Those that have arrived since the last call.
    pub fn take(&mut self) -> Vec<Signal> {
        self.delivery
            .pending()
            .filter_map(|number| Signal::try_from(number).ok())
            .collect()
    }
}

impl AsFd for Signals {
    /// Readable when a signal has arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// An empty mask, and SIGPIPE as every program expects it (Rust's runtime ignores it). Handlers do not survive exec.
/// Async-signal-safe.
pub(super) fn reset_in_child() -> nix::Result<()> {
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    // SAFETY: SIG_DFL is no handler of ours, so nothing can run at a bad time.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_once() {
        let mut signals = Signals::hear(&[Signal::SIGURG]).expect("signals");
        nix::sys::signal::raise(Signal::SIGURG).expect("raised");
        let mut ready = [nix::poll::PollFd::new(
            signals.as_fd(),
            nix::poll::PollFlags::POLLIN,
        )];
        assert_eq!(nix::poll::poll(&mut ready, 10_000_u16).expect("polled"), 1);
        assert_eq!(signals.take(), [Signal::SIGURG]);
        assert_eq!(signals.take(), []);
    }
}
