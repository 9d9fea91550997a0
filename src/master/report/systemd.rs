//! Messages about the master to the service manager that set `NOTIFY_SOCKET`, such as systemd.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::fd_store::FdStore;
use crate::base::time::{Monotonic, span};
use crate::pool::SystemdState;
use crate::sys::{clock, notify};

/// The service manager of this master, if it has one.
#[derive(Debug)]
pub(in crate::master) struct ServiceManager {
    address: Option<OsString>,
    /// The last `STATUS=` of a cluster that serves; `None` while it does not serve, or before anything was
    /// sent.
    serving: Option<String>,
    watchdog: Option<Watchdog>,
    /// What it keeps for the next master, if it keeps descriptors.
    store: Option<FdStore>,
}

/// The service manager restarts a master that sends no `WATCHDOG=1` for the time that it was given.
#[derive(Debug)]
struct Watchdog {
    /// Half of that time.
    interval: Duration,
    /// When the next message is due.
    due: Monotonic,
}

/// No `WATCHDOG_USEC` makes the master busy.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

impl Watchdog {
    /// As `WATCHDOG_USEC` and `WATCHDOG_PID` say, if they mean the process with this id.
    fn meant_for(
        own: u32,
        microseconds: Option<&str>,
        pid: Option<&str>,
    ) -> Result<Option<Watchdog>, String> {
        let Some(text) = microseconds else { return Ok(None) };
        match pid.map(str::parse::<u32>) {
            None => {}
            Some(Ok(pid)) if pid == own => {}
            Some(_) => return Ok(None),
        }
        match text.parse::<u64>() {
            Ok(timeout @ 1..) => Ok(Some(Watchdog {
                interval: (Duration::from_micros(timeout) / 2).max(SHORTEST_INTERVAL),
                due: Monotonic(0),
            })),
            Ok(0) | Err(_) => Err(format!(
                "WATCHDOG_USEC={text:?} is not a number of microseconds, so no WATCHDOG=1 is sent"
            )),
        }
    }

    fn from_environment() -> Option<Watchdog> {
        let variable = |name| std::env::var(name).ok();
        let (timeout, pid) = (variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Watchdog::meant_for(std::process::id(), timeout.as_deref(), pid.as_deref()).unwrap_or_else(|reason| {
            tracing::warn!("{reason}");
            None
        })
    }
}

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names. It has stored descriptors with these names.
    pub(in crate::master) fn from_environment(stored: impl IntoIterator<Item = String>) -> ServiceManager {
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        ServiceManager {
            watchdog: address.as_ref().and_then(|_| Watchdog::from_environment()),
            store: address.as_ref().and_then(|_| store(stored)),
            address,
            serving: None,
        }
    }

    /// When the next message is due.
    pub(in crate::master) fn deadline(&self) -> Option<Monotonic> {
        let watchdog = self.watchdog.as_ref().map(|watchdog| watchdog.due);
        let store = self.store.as_ref().and_then(|store| store.retry_at);
        watchdog.into_iter().chain(store).min()
    }

    /// The listeners have changed that the next master is to have.
    pub(in crate::master) fn set_store_outdated(&mut self) {
        self.store.iter_mut().for_each(FdStore::set_outdated);
    }

    /// Has the service manager keep these descriptors, if it keeps any and they may have changed.
    pub(in crate::master) fn update_store<'fds>(
        &mut self,
        wanted: impl FnOnce() -> Vec<(String, BorrowedFd<'fds>)>,
    ) {
        let now = clock::now();
        if let (Some(store), Some(address)) = (&mut self.store, &self.address)
            && store.is_due(now)
        {
            store.send(address, &wanted(), now);
        }
    }

    /// The cluster stops: what is stored stays stored. Returns whether anything can be.
    pub(in crate::master) fn leave_store(&mut self) -> bool {
        self.store.take().is_some()
    }

    /// Sends `WATCHDOG=1` when it is due. The master's loop calls this, so that a master that hangs is
    /// restarted.
    pub(in crate::master) fn prove_alive(&mut self, now: Monotonic) {
        let Some(watchdog) = &mut self.watchdog else {
            return;
        };
        if watchdog.due <= now {
            watchdog.due = now + watchdog.interval;
            self.send("WATCHDOG=1");
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

/// The store that `FDSTORE` tells of. systemd before 254 tells of none, but has one if it passed something
/// that was stored.
fn store(stored: impl IntoIterator<Item = String>) -> Option<FdStore> {
    let text = std::env::var("FDSTORE").ok();
    let told = FdStore::from_text(text.as_deref()).unwrap_or_else(|reason| {
        tracing::warn!("{reason}");
        None
    });
    let mut stored = stored.into_iter().peekable();
    let found = stored.peek().map(|_| FdStore::with_room(usize::MAX));
    let mut store = told.or(found)?;
    store.has(stored);
    Some(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_that_of_this_process_alone() {
        let interval = |microseconds, pid| {
            Watchdog::meant_for(7, microseconds, pid).map(|found| found.map(|watchdog| watchdog.interval))
        };
        let ten = Some(Duration::from_secs(10));
        assert_eq!(interval(None, None), Ok(None));
        assert_eq!(interval(Some("20000000"), None), Ok(ten));
        assert_eq!(interval(Some("20000000"), Some("7")), Ok(ten));
        assert_eq!(interval(Some("20000000"), Some("8")), Ok(None));
        assert_eq!(interval(Some("20000000"), Some("")), Ok(None));
        for wrong in ["0", "", "20s", "-1"] {
            let reason = interval(Some(wrong), Some("7")).expect_err("refused");
            assert!(reason.contains(&format!("{wrong:?}")), "{reason}");
        }
    }
}
