//! One line for each thing a person cares about: who, what happened, what happens next.

use std::time::Duration;

use nix::sys::signal::Signal;
use tracing::{error, info, warn};

use crate::pool::{Activity, Announcement, KillReason, ProcessExit, Purpose, Request, StopMode};

/// Says it. A table, one arm a message.
pub(in crate::master) fn announce(announcement: &Announcement) {
    use Announcement as A;
    match announcement {
        A::Starting {
            life,
            generation,
            pid,
        } => info!(%life, %generation, pid, "worker starting"),
        A::Ready { life, after } => info!(%life, "worker ready after {}", span(*after)),
        A::Serving { workers } => info!(workers, "serving: every worker is ready"),
        A::Crashed {
            life,
            exit,
            restart_in,
            failures,
        } => {
            warn!(%life, failures, "worker crashed ({}); {}", ended(*exit), next_start(*restart_in));
        }
        A::SpawnFailed {
            life,
            reason,
            restart_in,
        } => {
            error!(%life, "failed to start a worker: {reason}; {}", next_start(*restart_in));
        }
        A::BreakerOpened { slot, deaths } => {
            error!(%slot, deaths, "this slot's workers keep dying; it is retried slowly from now on, the others serve");
        }
        A::BreakerClosed { slot } => {
            info!(%slot, "this slot's worker has held out; it is restarted at once again")
        }
        A::Quarantined { life, late } => {
            warn!(%life, "worker late: no beat for {}; new connections go elsewhere until it beats", span(*late));
        }
        A::Returned { life, after } => {
            info!(%life, "worker beats again after {}; it gets connections again", span(*after))
        }
        A::Killed {
            life,
            reason,
            beat_age,
        } => warn!(%life, "killing worker: {}", killed(*reason, *beat_age)),
        A::Draining { life } => info!(%life, "worker draining"),
        A::Drained { life, after, exit } => {
            info!(%life, "worker gone after {} ({})", span(*after), ended(*exit))
        }
        A::ReloadStarted { generation } => info!(%generation, "reload: rolling out a new generation"),
        A::RollbackStarted { generation } => {
            info!(%generation, "rollback: rolling out the previous generation")
        }
        A::Replacing { slot, purpose } => info!(%slot, "replacing this slot's worker ({})", why(*purpose)),
        A::NotReplaced { slot, reason } => {
            warn!(%slot, "this slot's worker was not replaced and serves on: {reason}");
        }
        A::Reloaded { generation, after } => {
            info!(%generation, "reload done after {}: every worker is of the new generation", span(*after));
        }
        A::Baking {
            life,
            generation,
            bake_time,
        } => {
            info!(%life, %generation, "reload: the first worker of the new generation is watched for {}", span(*bake_time));
        }
        A::BackingOut { generation, reason } => {
            error!(%generation, "reload: giving the slots back to the old generation: {reason}");
        }
        A::UpgradeStarted => info!("upgrade: asking the binary on disk whether it can take over"),
        A::HandingOver { after } => {
            info!(
                "upgrade: the new binary can, it said so after {}; executing it",
                span(*after)
            );
        }
        A::Upgraded { version, after } => {
            info!(%version, "upgrade done after {}: this master goes on with the same workers", span(*after));
        }
        A::NotUpgraded { reason } => {
            error!("upgrade backed out, this master goes on: the new one could not be executed: {reason}");
        }
        A::Queued { request } => info!("{}: something else is under way; it follows", asked(*request)),
        A::BackedOut { generation, reason } => {
            error!(%generation, "reload backed out, the old generation serves on: {reason}");
        }
        A::Scaled { from, to } => info!(from, to, "scaled"),
        A::Refused { request, reason } => warn!("{} refused: {reason}", asked(*request)),
        A::Stopping { workers } => info!(workers, "stopping: workers finish what they accepted"),
        A::Stalled { by, at: _ } => {
            warn!(
                "the master was not scheduled for {}: nobody's beats of that time are held against them",
                span(*by)
            );
        }
    }
}

/// What was asked for, in words.
fn asked(request: Request) -> String {
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

fn why(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Itself => "it goes by itself",
        Purpose::Reload => "reload",
        Purpose::BackOut => "its reload was backed out",
        Purpose::NotNeeded => "not needed any more",
        Purpose::MaxRequests => "it has answered max_requests",
        Purpose::MaxRss => "it is larger than max_rss",
        Purpose::MaxAge => "it has served for max_age",
        Purpose::Restart => "asked for",
        Purpose::Drain => "asked to drain",
        Purpose::ScaleDown => "its slot is removed",
        Purpose::Stop => "the cluster stops",
    }
}

fn next_start(wait: Duration) -> String {
    if wait.is_zero() {
        "starting another at once".to_owned()
    } else {
        format!("starting another in {}", span(wait))
    }
}

/// How a process ended, in words.
pub(in crate::master) fn ended(exit: ProcessExit) -> String {
    match exit {
        ProcessExit::Code(code) => format!("exit code {code}"),
        ProcessExit::Signal(number) => match Signal::try_from(number) {
            Ok(signal) => format!("signal {number}, {signal}"),
            Err(_) => format!("signal {number}"),
        },
    }
}

/// Why a worker is killed, in words.
pub(in crate::master) fn killed(reason: KillReason, beat_age: Duration) -> String {
    let late = span(beat_age);
    match reason {
        KillReason::Hung(activity) => format!("hung, no beat for {late} ({})", doing(activity)),
        KillReason::HeldLock(activity) => {
            format!(
                "it holds a store lock that its siblings wait for, no beat for {late} ({})",
                doing(activity)
            )
        }
        KillReason::NeverReady => "it did not become ready in time (ready_timeout)".to_owned(),
        KillReason::DrainTimeout => "it did not finish draining in time (drain_timeout)".to_owned(),
        KillReason::DrainLimit => {
            "too many workers drain at once and it has drained longest (max_draining)".to_owned()
        }
        KillReason::StopAtOnce => "stopping at once".to_owned(),
        KillReason::BackedOut => "its reload was backed out".to_owned(),
        KillReason::NotNeeded => "it was to replace another one, which is not wanted any more".to_owned(),
    }
}

fn doing(activity: Activity) -> &'static str {
    match activity {
        Activity::Starved => "runnable but given no CPU",
        Activity::Spinning => "its CPU time advances: a handler spins",
        Activity::Blocked => "it sleeps in the kernel: a handler blocks",
        Activity::Disk => "it waits for a disk, or something else that cannot be interrupted",
        Activity::Stopped => "stopped by a signal or a debugger",
        Activity::Unknown => "its state could not be read",
    }
}

/// A duration to three digits or so, with its unit.
pub(in crate::master) fn span(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_named() {
        assert_eq!(ended(ProcessExit::Code(3)), "exit code 3");
        assert_eq!(ended(ProcessExit::Signal(9)), "signal 9, SIGKILL");
        assert_eq!(ended(ProcessExit::Signal(40)), "signal 40");
    }

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(span(Duration::from_micros(1_250)), "1.2 ms");
        assert_eq!(span(Duration::from_millis(250)), "250 ms");
        assert_eq!(span(Duration::from_secs(12)), "12.0 s");
    }
}
