//! The signals of a worker. SIGTERM drains. What a terminal sends to the whole group (SIGINT, SIGQUIT, SIGHUP, SIGWINCH), what
//! has a meaning to the master or its peers (SIGTTIN, SIGUSR1 and so on) and what a habit sends is the master's to decide on: it
//! must neither kill nor stop a worker.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::signal::{SIGQUIT, SIGTERM, SIGWINCH};
use tokio::io::AsyncReadExt;

use crate::sys::signals::NOT_FOR_WORKERS;

/// SIGTERM, as something to wait for.
#[derive(Debug)]
pub(super) struct Terminations {
    pipe: UnixStream,
}

impl Terminations {
    /// From now on SIGTERM is an event and the others do nothing. To be called first of all: before it, they kill.
    pub(super) fn catch() -> io::Result<Terminations> {
        let habits = NOT_FOR_WORKERS.iter().map(|&signal| signal as i32);
        for signal in habits.chain([SIGQUIT, SIGWINCH]) {
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
