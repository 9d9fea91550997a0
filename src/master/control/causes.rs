//! What ended a life, and what followed, in words. Pure.

use std::time::Duration;

use crate::control::MemoryUse;
use crate::master::report::announce::{ended, killed, span};
use crate::pool::{Cause, Certificate, Decision, Purpose};

/// What ended it. `memory` is what was seen of its memory, if that is remembered.
pub(in crate::master) fn cause(certificate: &Certificate, memory: Option<MemoryUse>) -> String {
    let how = certificate
        .exit
        .map_or_else(String::new, |exit| format!(" ({})", ended(exit)));
    let beat_age = certificate.beat_age.unwrap_or_default();
    match &certificate.cause {
        Cause::Exited => format!("it left by itself{how}"),
        Cause::Signalled => format!("a signal that was not the master's{how}"),
        Cause::OutOfMemory if memory.is_some_and(|memory| memory.oom_kill_maybe_elsewhere) => format!(
            "perhaps the kernel killed it for want of memory{how}: it killed somebody on this machine at that time"
        ),
        Cause::OutOfMemory => format!("the kernel killed it for want of memory{how}"),
        Cause::Hung { reason } => format!("killed: {}", killed(*reason, beat_age)),
        Cause::BootFailed { killed: None } => format!("it ended before it was ready{how}"),
        Cause::BootFailed { killed: Some(reason) } => {
            format!("killed before it was ready: {}", killed(*reason, beat_age))
        }
        Cause::SpawnFailed { reason } => format!("it could not be started: {reason}"),
        Cause::Retired { purpose, cut: None } => format!("{}{how}", asked(*purpose)),
        Cause::Retired {
            purpose,
            cut: Some(reason),
        } => format!("{}, and killed: {}", asked(*purpose), killed(*reason, beat_age)),
    }
}

fn asked(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Itself => "it wanted to go",
        Purpose::Reload => "replaced by a reload",
        Purpose::BackOut => "its reload was backed out",
        Purpose::NotNeeded => "it was to replace another one, which was not wanted any more",
        Purpose::MaxRequests => "recycled: it had answered max_requests",
        Purpose::MaxRss => "recycled: it was larger than max_rss",
        Purpose::MaxAge => "recycled: it was older than max_age",
        Purpose::Restart => "its slot's restart was asked for",
        Purpose::Drain => "its slot was to be drained",
        Purpose::ScaleDown => "its slot was removed",
        Purpose::Stop => "the cluster stops",
    }
}

/// What followed.
pub(in crate::master) fn decision(decision: &Decision) -> String {
    match decision {
        Decision::RestartIn {
            wait,
            degraded: false,
        } if wait.is_zero() => "its slot was filled again at once".to_owned(),
        Decision::RestartIn {
            wait,
            degraded: false,
        } => format!("its slot was to be filled again in {}", span(*wait)),
        Decision::RestartIn { wait, degraded: true } => too_often(*wait),
        Decision::Replaced { by } => format!("worker {by} had its place"),
        Decision::None => "nobody took its place".to_owned(),
    }
}

fn too_often(wait: Duration) -> String {
    format!(
        "too many deaths in a row: only slow tries, the next in {}",
        span(wait)
    )
}
