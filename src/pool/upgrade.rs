//! Upgrades of the master itself: the binary on disk rehearses, and if it could go on from here, it takes
//! over. Nothing that an upgrade must not be mixed with is begun meanwhile; deaths and hangs are dealt with
//! as ever. How a binary rehearses and takes over is the matter of the shell.

use super::deploy::operation::{Operation, UpgradeOperation, UpgradeStage};
use super::parts::Parts;
use super::protocol::announcement::Announcement;
use super::protocol::effect::{Effect, SystemdState, announce};
use super::protocol::event::{Request, Ticket};
use super::protocol::verdict::{Done, Failure, Verdict};
use super::requests::answers::{answer, refuse};
use super::worker::context::Conditions;

/// The binary on disk is to be asked whether it could go on from here.
pub(super) fn begin(parts: Parts<'_>, waiters: Vec<Ticket>, effects: &mut Vec<Effect>) {
    *parts.operation = Operation::Upgrade(UpgradeOperation {
        stage: UpgradeStage::ToRehearse,
        started: parts.conditions.now,
        waiters,
    });
    announce(Announcement::UpgradeStarted, effects);
    parts.milestones.tell_systemd(SystemdState::Reloading, effects);
}

/// Goes on with an upgrade, unless effects of this batch still lead to events that the next step must not
/// miss. The new binary is given the pool and the processes as they are: each worker of the pool must have
/// its process by then, and an event that the old master has not heard before a hand-over is lost.
pub(super) fn go_on(operation: &mut Operation, batch: &[Effect]) -> Option<Effect> {
    let Operation::Upgrade(upgrade) = operation else {
        return None;
    };
    let (waits_for, next, effect): (fn(&Effect) -> bool, _, _) = match upgrade.stage {
        UpgradeStage::ToRehearse => (is_spawn, UpgradeStage::Rehearsing, Effect::Rehearse),
        UpgradeStage::ToHandOver => (leads_to_an_event, UpgradeStage::HandingOver, Effect::HandOver),
        UpgradeStage::Rehearsing | UpgradeStage::HandingOver => return None,
    };
    if batch.iter().any(waits_for) {
        return None;
    }
    upgrade.stage = next;
    Some(effect)
}

fn is_spawn(effect: &Effect) -> bool {
    matches!(effect, Effect::Spawn { .. })
}

/// Whether the shell says at once how an effect went, always or when the effect could not be performed.
fn leads_to_an_event(effect: &Effect) -> bool {
    match effect {
        Effect::Spawn { .. }
        | Effect::Examine { .. }
        | Effect::Probe { .. }
        | Effect::Adopt { .. }
        | Effect::TakeOver { .. }
        | Effect::Load(_)
        | Effect::Rehearse
        | Effect::StartStub
        | Effect::HandOver => true,
        Effect::Signal { .. }
        | Effect::Disown { .. }
        | Effect::Answer { .. }
        | Effect::Steer(_)
        | Effect::Listen { .. }
        | Effect::Unload(_)
        | Effect::Serve(_)
        | Effect::StopStub
        | Effect::Close
        | Effect::Forewarn
        | Effect::Hasten
        | Effect::Announce(_)
        | Effect::Tell(_)
        | Effect::Exit(_) => false,
    }
}

/// The new binary could go on from here, or could not. Dropped when no upgrade is under way any more.
pub(super) fn rehearsed(parts: Parts<'_>, verdict: Result<(), String>, effects: &mut Vec<Effect>) {
    let Some(upgrade) = parts.operation.take_upgrade() else {
        return;
    };
    match verdict {
        Ok(()) => {
            let after = parts.conditions.now.since(upgrade.started);
            announce(Announcement::HandingOver { after }, effects);
            *parts.operation = Operation::Upgrade(UpgradeOperation {
                stage: UpgradeStage::ToHandOver,
                ..upgrade
            });
        }
        Err(reason) => {
            refuse(&upgrade.waiters, Request::Upgrade, reason, effects);
            parts.milestones.tell_systemd(SystemdState::Ready, effects);
        }
    }
}

/// The new binary goes on from here as this version, or could not be executed.
pub(super) fn upgraded(parts: Parts<'_>, verdict: Result<String, String>, effects: &mut Vec<Effect>) {
    let Some(upgrade) = parts.operation.take_upgrade() else {
        return;
    };
    let verdict = match verdict {
        Ok(version) => {
            let after = parts.conditions.now.since(upgrade.started);
            let told = version.clone();
            announce(Announcement::Upgraded { version: told, after }, effects);
            Verdict::Done(Done::Upgraded { version, after })
        }
        Err(reason) => {
            let told = reason.clone();
            announce(Announcement::NotUpgraded { reason: told }, effects);
            failed(&upgrade, Failure::NotExecuted { reason }, parts.conditions)
        }
    };
    parts.milestones.tell_systemd(SystemdState::Ready, effects);
    answer(&upgrade.waiters, &verdict, effects);
}

/// The cluster stops and needs no other master.
pub(super) fn abandon(parts: Parts<'_>, effects: &mut Vec<Effect>) {
    if let Some(upgrade) = parts.operation.take_upgrade() {
        let verdict = failed(&upgrade, Failure::Stopped, parts.conditions);
        answer(&upgrade.waiters, &verdict, effects);
    }
}

fn failed(upgrade: &UpgradeOperation, reason: Failure, conditions: Conditions<'_>) -> Verdict {
    Verdict::Failed {
        reason,
        generation: conditions.generations.current(),
        after: conditions.now.since(upgrade.started),
        slots: Vec::new(),
    }
}
