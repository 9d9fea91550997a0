//! The signals of a worker. SIGTERM drains. Only the master answers the signals that a terminal sends to the
//! whole group (SIGINT, SIGQUIT, SIGHUP, SIGWINCH) and those that have a meaning to masters (SIGTTIN, SIGUSR1
//! and so on): they must neither kill nor stop a worker.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::signal::{SIGQUIT, SIGTERM, SIGWINCH};
use tokio::io::AsyncReadExt;

use crate::sys::signals::NOT_FOR_WORKERS;

/// Waits for SIGTERM.
#[derive(Debug)]
pub(super) struct Terminations {
    pipe: UnixStream,
}

impl Terminations {
    /// From now on SIGTERM is an event and the other signals do nothing. To be called first of all: before
    /// it, they kill.
    pub(super) fn catch() -> io::Result<Terminations> {
        let ignored = NOT_FOR_WORKERS.iter().map(|&signal| signal as i32);
        for signal in ignored.chain([SIGQUIT, SIGWINCH]) {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
        let (pipe, sender) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGTERM, sender)?;
        pipe.set_nonblocking(true)?;
        Ok(Terminations { pipe })
    }

    /// Returns when SIGTERM has come. To be awaited inside the runtime.
    pub(super) async fn wait(self) -> io::Result<()> {
        let mut pipe = tokio::net::UnixStream::from_std(self.pipe)?;
        pipe.read_u8().await.map(drop)
    }
}
