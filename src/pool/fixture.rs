//! What the pool's in-file tests share: a policy with round numbers, instants in milliseconds, and the
//! kernel's part of steering.

use std::time::Duration;

use super::protocol::facts::Policy;
use super::routing::steering::{BpfInstruction, JUMP_IF_AT_LEAST, LOAD_WORD, MODULO, RANDOM, RETURN};
use crate::base::backoff::Backoff;
use crate::base::ids::Life;
use crate::base::time::Monotonic;

pub(super) fn at(ms: u64) -> Monotonic {
    Monotonic(ms * 1_000_000)
}

pub(super) fn life(slot: u16, epoch: u32) -> Life {
    Life::of(1, slot, epoch)
}

pub(super) fn policy() -> Policy {
    Policy {
        workers: 2,
        heartbeat_interval: Duration::from_millis(250),
        heartbeat_timeout: Duration::from_secs(5),
        lock_hold_timeout: Duration::from_millis(400),
        ready_timeout: Duration::from_secs(10),
        stop_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(30),
        bake_time: Duration::from_secs(1),
        early_death: Duration::from_secs(1),
        backoff: Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
        },
        restart_limit: 5,
        restart_window: Duration::from_secs(60),
        max_draining: 4,
        max_requests: None,
        max_rss: None,
        max_age: None,
    }
}

/// What the kernel would return for that random number.
pub(super) fn run(program: &[BpfInstruction], random: u32) -> u32 {
    let (mut accumulator, mut next) = (0, 0);
    loop {
        let (code, when_true, when_false, k) = program[next];
        next += 1;
        match code {
            LOAD_WORD if k == RANDOM => accumulator = random,
            MODULO => accumulator %= k,
            JUMP_IF_AT_LEAST => next += usize::from(if accumulator >= k { when_true } else { when_false }),
            RETURN => return k,
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}
