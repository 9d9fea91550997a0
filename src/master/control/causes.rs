//! The cause of a death and what followed, as text. Pure.

use std::time::Duration;

use crate::base::time::span;
use crate::control::MemoryUse;
use crate::pool::protocol::wording::{exit_text, kill_text};
use crate::pool::{Cause, Certificate, Decision, Purpose};

/// The cause of a death. `memory` is what was seen of the worker's memory, if that is still known.
pub(in crate::master) fn cause(certificate: &Certificate, memory: Option<MemoryUse>) -> String {
    let how = certificate
        .exit
        .map_or_else(String::new, |exit| format!(" ({})", exit_text(exit)));
    let beat_age = certificate.beat_age.unwrap_or_default();
    let trouble = certificate.trouble.as_deref();
    match &certificate.cause {
        Cause::Exited => format!("it exited by itself{how}"),
        Cause::Signalled => format!("a signal that the master did not send{how}"),
        Cause::OutOfMemory if memory.is_some_and(|memory| memory.oom_kill_maybe_elsewhere) => format!(
            "the kernel may have killed it because memory ran out{how}: it killed a process on this machine \
             at that time"
        ),
        Cause::OutOfMemory => format!("the kernel killed it because memory ran out{how}"),
        Cause::Hung { reason } => format!("killed: {}", kill_text(*reason, beat_age, trouble)),
        Cause::BootFailed { killed: None } => format!("it ended before it was ready{how}"),
        Cause::BootFailed { killed: Some(reason) } => {
            format!(
                "killed before it was ready: {}",
                kill_text(*reason, beat_age, trouble)
            )
        }
        Cause::SpawnFailed { reason } => format!("it could not be started: {reason}"),
        Cause::Retired { purpose, cut: None } => format!("{}{how}", retired_for(*purpose, trouble)),
        Cause::Retired {
            purpose,
            cut: Some(reason),
        } => format!(
            "{}, and killed: {}",
            retired_for(*purpose, trouble),
            kill_text(*reason, beat_age, trouble)
        ),
    }
}

fn retired_for(purpose: Purpose, trouble: Option<&str>) -> String {
    let purpose = match purpose {
        Purpose::Itself => match trouble {
            Some(trouble) => return format!("it gave itself up: {trouble}"),
            None => "it stopped by its own wish",
        },
        Purpose::Reload => "replaced by a reload",
        Purpose::BackOut => "its reload was backed out",
        Purpose::NotNeeded => "it was a replacement that was no longer needed",
        Purpose::MaxRequests => "recycled: it had answered max_requests",
        Purpose::MaxRss => "recycled: it was larger than max_rss",
        Purpose::MaxAge => "recycled: it was older than max_age",
        Purpose::Restart => "a restart of its slot was requested",
        Purpose::Drain => "a drain of its slot was requested",
        Purpose::ScaleDown => "its slot was removed",
        Purpose::Stop => "the cluster stops",
    };
    purpose.to_owned()
}

/// What happened to the slot afterwards.
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
        Decision::Replaced { by } => format!("worker {by} took over its slot"),
        Decision::None => "no worker took its place".to_owned(),
    }
}

fn too_often(wait: Duration) -> String {
    format!("too many deaths in a row: retried slowly, next in {}", span(wait))
}
