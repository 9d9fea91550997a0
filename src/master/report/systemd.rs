//! Messages about the master to the service manager that set `NOTIFY_SOCKET`, such as systemd.

use std::ffi::OsString;

use crate::base::time::span;
use crate::pool::SystemdState;
use crate::sys::{clock, notify};

/// The service manager of this master, if it has one.
#[derive(Debug)]
pub(in crate::master) struct ServiceManager {
    address: Option<OsString>,
    /// The last `STATUS=` of a cluster that serves; `None` while it does not serve, or before anything was
    /// sent.
    serving: Option<String>,
}

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names.
    pub(in crate::master) fn from_environment() -> ServiceManager {
        ServiceManager {
            address: std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()),
            serving: None,
        }
    }

    /// Sends the state of the cluster. `serving` describes a cluster that serves, in one line.
    pub(in crate::master) fn notify(&mut self, state: SystemdState, serving: impl FnOnce() -> String) {
        if self.address.is_none() {
            return;
        }
        self.serving = (state == SystemdState::Ready).then(serving);
        let text = match (state, &self.serving) {
            (SystemdState::Ready, status) => {
                format!("READY=1\nSTATUS={}", status.as_deref().unwrap_or_default())
            }
            // systemd needs the time of the reload's begin, to order it against READY=1.
            (SystemdState::Reloading, _) => format!(
                "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading",
                clock::now().0 / 1_000
            ),
            (SystemdState::StopDelayed { by }, _) => format!(
                "STOPPING=1\nSTATUS=stopping in {}: readiness says no, requests are still served",
                span(by)
            ),
            (SystemdState::Stopping, _) => "STOPPING=1\nSTATUS=stopping".to_owned(),
        };
        self.send(&text);
    }

    /// Sends the description of a cluster that serves again, if it has changed.
    pub(in crate::master) fn update(&mut self, serving: impl FnOnce() -> String) {
        let Some(before) = &self.serving else { return };
        let now = serving();
        if *before != now {
            self.send(&format!("STATUS={now}"));
            self.serving = Some(now);
        }
    }

    /// A service manager that does not read is no reason to fail.
    fn send(&self, text: &str) {
        let Some(address) = &self.address else { return };
        if let Err(error) = notify::send(address, text) {
            tracing::debug!("failed to notify the service manager: {error}");
        }
    }
}
