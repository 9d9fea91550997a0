//! Words that several messages of the pool share.

use std::time::Duration;

use super::certificate::Purpose;
use super::event::{Request, StopMode};
use super::facts::{Activity, KillReason, ProcessExit};
use crate::base::signal_names;
use crate::base::time::span;

/// A request, as messages name it.
pub(super) fn request_text(request: Request) -> String {
    match request {
        Request::Reload => "reload".to_owned(),
        Request::Rollback => "rollback".to_owned(),
        Request::Upgrade => "upgrade".to_owned(),
        Request::ScaleTo(to) => format!("scaling to {to} workers"),
        Request::ScaleBy(by) => format!("scaling by {by:+} workers"),
        Request::Restart(slot) => format!("restart of slot {slot}"),
        Request::Drain(slot) => format!("drain of slot {slot}"),
        Request::Stop(StopMode::Graceful) => "stop".to_owned(),
        Request::Stop(StopMode::AtOnce) => "stop at once".to_owned(),
    }
}

/// What every worker is after a reload or rollback.
pub(super) fn every_worker(request: Request) -> &'static str {
    match request {
        Request::Rollback => "every worker is of the previous generation",
        Request::Reload
        | Request::Upgrade
        | Request::ScaleTo(_)
        | Request::ScaleBy(_)
        | Request::Restart(_)
        | Request::Drain(_)
        | Request::Stop(_) => "every worker is of the new generation",
    }
}

/// Why a worker is replaced.
pub(super) fn purpose_text(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Itself => "it stops by its own wish",
        Purpose::Reload => "reload",
        Purpose::BackOut => "its reload was backed out",
        Purpose::NotNeeded => "no longer needed",
        Purpose::MaxRequests => "it has answered max_requests",
        Purpose::MaxRss => "it is larger than max_rss",
        Purpose::MaxAge => "it has served for max_age",
        Purpose::Restart => "requested",
        Purpose::Drain => "a drain was requested",
        Purpose::ScaleDown => "its slot is removed",
        Purpose::Stop => "the cluster stops",
    }
}

/// When a slot gets its next worker.
pub(super) fn next_start(wait: Duration) -> String {
    if wait.is_zero() {
        "starting another at once".to_owned()
    } else {
        format!("starting another in {}", span(wait))
    }
}

/// How a process ended.
#[must_use]
pub fn exit_text(exit: ProcessExit) -> String {
    match exit {
        ProcessExit::Code(code) => format!("exit code {code}"),
        ProcessExit::Signal(number) => match signal_names::name(number) {
            Some(name) => format!("signal {number}, {name}"),
            None => format!("signal {number}"),
        },
    }
}

/// Why a worker is killed. `beat_age` is the age of its last beat; `trouble` is why it does not do its work,
/// in its own words.
#[must_use]
pub fn kill_text(reason: KillReason, beat_age: Duration, trouble: Option<&str>) -> String {
    let late = span(beat_age);
    if let Some(trouble) = trouble {
        match reason {
            KillReason::Hung(_) => return format!("hung, no beat for {late}: {trouble}"),
            KillReason::NeverReady => {
                return format!("it did not become ready in time (ready_timeout): {trouble}");
            }
            KillReason::HeldLock(_)
            | KillReason::DrainTimeout
            | KillReason::DrainLimit
            | KillReason::StopAtOnce
            | KillReason::BackedOut
            | KillReason::NotNeeded => {}
        }
    }
    match reason {
        KillReason::Hung(activity) => format!("hung, no beat for {late} ({})", activity_text(activity)),
        KillReason::HeldLock(activity) => {
            format!(
                "it holds a store lock that other workers wait for, no beat for {late} ({})",
                activity_text(activity)
            )
        }
        KillReason::NeverReady => "it did not become ready in time (ready_timeout)".to_owned(),
        KillReason::DrainTimeout => "it did not finish draining in time (drain_timeout)".to_owned(),
        KillReason::DrainLimit => {
            "too many workers drain at once and it has drained longest (max_draining)".to_owned()
        }
        KillReason::StopAtOnce => "stopping at once".to_owned(),
        KillReason::BackedOut => "its reload was backed out".to_owned(),
        KillReason::NotNeeded => "it was a replacement that is no longer needed".to_owned(),
    }
}

fn activity_text(activity: Activity) -> &'static str {
    match activity {
        Activity::Starved => "runnable but given no CPU",
        Activity::Spinning => "its CPU time advances: a handler spins",
        Activity::Blocked => "it sleeps in the kernel: a handler blocks",
        Activity::Disk => "it waits for a disk, or for something else that cannot be interrupted",
        Activity::Stopped => "stopped by a signal or a debugger",
        Activity::Unknown => "its state could not be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_says_of_its_trouble_comes_before_what_its_process_shows() {
        let hung = KillReason::Hung(Activity::Blocked);
        let age = Duration::from_secs(5);
        let words = Some("the program: it is stopped (SIGSTOP)");
        assert_eq!(
            kill_text(hung, age, words),
            "hung, no beat for 5000 ms: the program: it is stopped (SIGSTOP)"
        );
        assert!(kill_text(hung, age, None).contains("it sleeps in the kernel"));
        assert!(!kill_text(KillReason::StopAtOnce, age, words).contains("SIGSTOP"));
    }

    #[test]
    fn ends_are_named() {
        assert_eq!(exit_text(ProcessExit::Code(3)), "exit code 3");
        assert_eq!(exit_text(ProcessExit::Signal(9)), "signal 9, SIGKILL");
        assert_eq!(exit_text(ProcessExit::Signal(40)), "signal 40");
    }
}
