//! What systemd, or whoever set `NOTIFY_SOCKET`, is told about the master itself.

use std::ffi::OsString;

use crate::pool::SystemdState;
use crate::sys::{clock, notify};

/// Tells it, if anybody wants to know. A supervisor that does not listen is no reason to fail.
pub(in crate::master) fn tell(state: SystemdState) {
    let Some(address) = address() else { return };
    let text = match state {
        SystemdState::Ready => "READY=1\nSTATUS=serving".to_owned(),
        // systemd wants to know from when on, to order this against READY=1.
        SystemdState::Reloading => format!(
            "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading",
            clock::now().0 / 1_000
        ),
        SystemdState::Stopping => "STOPPING=1\nSTATUS=stopping".to_owned(),
    };
    if let Err(error) = notify::send(&address, &text) {
        tracing::debug!("failed to tell the service manager: {error}");
    }
}

fn address() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
}
