//! Messages about the master to the service manager that set `NOTIFY_SOCKET`, such as systemd.

use std::ffi::OsString;

use crate::pool::SystemdState;
use crate::sys::{clock, notify};

/// Sends the state, if `NOTIFY_SOCKET` is set. A service manager that does not read is no reason to fail.
pub(in crate::master) fn tell(state: SystemdState) {
    let Some(address) = address() else { return };
    let text = match state {
        SystemdState::Ready => "READY=1\nSTATUS=serving".to_owned(),
        // systemd needs the time of the reload's begin, to order it against READY=1.
        SystemdState::Reloading => format!(
            "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading",
            clock::now().0 / 1_000
        ),
        SystemdState::Stopping => "STOPPING=1\nSTATUS=stopping".to_owned(),
    };
    if let Err(error) = notify::send(&address, &text) {
        tracing::debug!("failed to notify the service manager: {error}");
    }
}

fn address() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
}
