//! Why the workers of a slot ended: the pool's certificates, each with what the master saw of that worker.

use super::causes;
use crate::base::ids::Slot;
use crate::base::millis::ms;
use crate::base::time::Monotonic;
use crate::control::{Death, DeathReport};
use crate::master::host::Host;
use crate::pool::{Certificate, Pool, ProcessExit};

/// The last deaths of a slot, newest first.
///
/// # Errors
/// When no such slot ever existed, in words.
pub(in crate::master) fn why(
    pool: &Pool,
    host: &Host,
    slot: Slot,
    now: Monotonic,
) -> Result<DeathReport, String> {
    let state = pool.slots().find(|status| status.slot == slot);
    let mut deaths: Vec<Death> = pool
        .certificates(slot)
        .map(|certificate| death(certificate, host, now))
        .collect();
    deaths.reverse();
    if state.is_none() && deaths.is_empty() {
        let last = pool.workers().saturating_sub(1);
        return Err(format!("there is no slot {slot}; expected one from 0 to {last}"));
    }
    let state = state.map(|status| status.state.as_str().to_owned());
    Ok(DeathReport { slot, state, deaths })
}

fn death(certificate: &Certificate, host: &Host, now: Monotonic) -> Death {
    let seen = host
        .persisted
        .postmortems
        .of(certificate.life)
        .cloned()
        .unwrap_or_default();
    let (exit_code, signal) = match certificate.exit {
        Some(ProcessExit::Code(code)) => (Some(code), None),
        Some(ProcessExit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    Death {
        life: certificate.life,
        generation: certificate.generation,
        ago_ms: ms(now.since(certificate.at)),
        lived_ms: ms(certificate.lived),
        kind: certificate.cause.kind().as_str().to_owned(),
        cause: causes::cause(certificate, Some(seen.memory)),
        decision: causes::decision(&certificate.decision),
        exit_code,
        signal,
        process_state: seen.at_kill.as_ref().and_then(|at_kill| at_kill.state),
        wait_channel: seen
            .at_kill
            .as_ref()
            .map(|at_kill| at_kill.wait_channel.clone())
            .filter(|channel| !channel.is_empty()),
        process: seen.at_kill.and_then(|at_kill| at_kill.process),
        memory: seen.memory,
        in_flight: seen.requests.named,
        in_flight_unlisted: seen.requests.unnamed,
        stderr: seen.stderr,
    }
}
