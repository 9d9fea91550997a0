//! What the pool's in-file tests share: a policy with round numbers, instants in milliseconds, and the
//! kernel's part of steering.

use std::time::Duration;

use super::protocol::facts::Policy;
use super::routing::steering::{
    AND, BpfInstruction, IPV4, IPV4_SOURCE, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, LOAD_WORD, MODULO, PROTOCOL,
    RANDOM, RETURN, RETURN_ACCUMULATOR,
};
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
        late_after: Duration::from_micros(281_250),
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
        runs_programs: false,
    }
}

/// The packet that opens a connection, as far as steering reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syn {
    pub(super) protocol: u32,
    /// What lies where IPv4 has the source address.
    pub(super) word_at_source: u32,
}

/// A packet of IPv6 in which the word looks like the source of a probe.
pub(super) const SYN_OF_IPV6: Syn = Syn {
    protocol: 0x86dd,
    word_at_source: 0x7f43_0001,
};

/// What the kernel would return for that random number.
pub(super) fn run(program: &[BpfInstruction], random: u32) -> u32 {
    let syn = Syn {
        protocol: IPV4,
        word_at_source: 0x7f00_0001,
    };
    run_for(program, random, syn)
}

/// What the kernel would return for that random number and that packet.
pub(super) fn run_for(program: &[BpfInstruction], random: u32, syn: Syn) -> u32 {
    let (mut accumulator, mut next) = (0, 0);
    let jump =
        |taken: bool, when_true: u8, when_false: u8| usize::from(if taken { when_true } else { when_false });
    loop {
        let (code, when_true, when_false, k) = program[next];
        next += 1;
        match code {
            LOAD_WORD if k == RANDOM => accumulator = random,
            LOAD_WORD if k == PROTOCOL => accumulator = syn.protocol,
            LOAD_WORD if k == IPV4_SOURCE => accumulator = syn.word_at_source,
            MODULO => accumulator %= k,
            AND => accumulator &= k,
            JUMP_IF_AT_LEAST => next += jump(accumulator >= k, when_true, when_false),
            JUMP_IF_EQUAL => next += jump(accumulator == k, when_true, when_false),
            RETURN => return k,
            RETURN_ACCUMULATOR => return accumulator,
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}
