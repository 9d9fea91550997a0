//! Which slot gets a new connection: weights from what the slots carry, and the classic BPF program that
//! draws by them.
//!
//! The weights bring every slot to the same number of open connections by the time the foreseen ones have
//! come: a slot's weight is the room it has left under that number. Room for chance is left as well (the
//! count of a slot of short connections scatters by its root), so that noise moves the weights little. A slot
//! whose event loop runs late gets less: half when it is late by `LAG_HALF_LIFE`. When all slots run late
//! alike, none gets less.

use std::time::Duration;

use crate::base::ids::Slot;
use crate::base::probe_source::{PROBE_NETWORK, PROBE_NETWORK_BITS};

/// The weight of a slot that gets its full share of new connections.
pub const FULL_SHARE: u16 = 256;

/// A slot whose event loop is late by this gets half of what a slot on time gets.
const LAG_HALF_LIFE: Duration = Duration::from_millis(10);
/// The smallest weight of a routed slot: it has to get connections to show that it is well again.
const LEAST: u64 = FULL_SHARE as u64 / 8;
/// The largest weight of a slot: an empty slot is to be filled without being flooded.
const MOST: u64 = FULL_SHARE as u64 * 3;
/// Each slot has room for this many connections at least, in sixteenths of a connection.
const ROOM: u64 = 4 * 16;

/// More open connections of a slot, in sixteenths, are not believed.
const MOST_OPEN: u64 = 1 << 40;

/// What one slot carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLoad {
    /// The slot.
    pub slot: Slot,
    /// Open connections, smoothed, in sixteenths of a connection.
    pub connections: u64,
    /// How late the event loop of the slot's worker runs.
    pub loop_lag: Duration,
}

/// A weight for each slot. `foreseen`: by how many sixteenths of a connection the cluster will grow before
/// the next weights show their effect.
#[must_use]
pub fn weights(slot_loads: &[SlotLoad], foreseen: u64) -> Vec<(Slot, u16)> {
    let count = u64::try_from(slot_loads.len()).unwrap_or(u64::MAX).max(1);
    // A worker's number, which is not trusted: bounded so that sums and products of 1,024 stay in 64 bits.
    let open = |one: &SlotLoad| one.connections.min(MOST_OPEN);
    let mean = slot_loads.iter().map(open).sum::<u64>() / count;
    // In sixteenths: the root of n connections is 4 times the root of 16 n.
    let scatter = 2 * 4 * mean.isqrt();
    let room = ROOM.max(foreseen.min(MOST_OPEN) / count).max(scatter);
    let pace =
        |one: &SlotLoad| 1_000 * micros(LAG_HALF_LIFE) / (micros(LAG_HALF_LIFE) + micros(one.loop_lag));
    let mean_pace = (slot_loads.iter().map(pace).sum::<u64>() / count).max(1);
    let weight = |one: &SlotLoad| {
        let left = (mean + room).saturating_sub(open(one));
        let full = u64::from(FULL_SHARE) * left / room;
        u16::try_from((full * pace(one) / mean_pace).clamp(LEAST, MOST)).unwrap_or(FULL_SHARE)
    };
    slot_loads.iter().map(|one| (one.slot, weight(one))).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros())
        .unwrap_or(u64::MAX)
        .min(60_000_000)
}

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
pub const MOST_INSTRUCTIONS: usize = 4096;

// <linux/filter.h>: the instruction classes and modes that are used here, already combined.
pub(in crate::pool) const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(in crate::pool) const MODULO: u16 = 0x94; // BPF_ALU | BPF_MOD | BPF_K
pub(in crate::pool) const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(in crate::pool) const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(in crate::pool) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
pub(in crate::pool) const RETURN: u16 = 0x06; // BPF_RET | BPF_K
pub(in crate::pool) const RETURN_ACCUMULATOR: u16 = 0x16; // BPF_RET | BPF_A
/// `SKF_AD_OFF + SKF_AD_RANDOM`: not packet data, but the kernel's random number.
pub(in crate::pool) const RANDOM: u32 = 0xffff_f000 + 56;
/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the protocol above Ethernet.
pub(in crate::pool) const PROTOCOL: u32 = 0xffff_f000;
/// `SKF_NET_OFF + 12`: the source address of a packet of IPv4.
pub(in crate::pool) const IPV4_SOURCE: u32 = 0xfff0_0000 + 12;
/// The protocol number of IPv4 (`ETH_P_IP`).
pub(in crate::pool) const IPV4: u32 = 0x0800;
/// No listener has this index, so the kernel falls back to its hash.
const NO_LISTENER: u32 = u32::MAX;

/// One instruction: `code`, `jt`, `jf`, `k` of a `sock_filter`.
pub type BpfInstruction = (u16, u8, u8, u32);

/// A program that returns the index of a listener, each with the probability of its weight. Listeners lie in
/// the group in the order of their slots. A slot of weight 0 is unrouted; slots beyond `slots` have no
/// listener and are left out; when no slot is left, the kernel's hash decides. The program has at most `2 ×
/// slots + 2` instructions, which is within [`MOST_INSTRUCTIONS`] up to 2,047 slots.
#[must_use]
pub fn program(weights: &[(Slot, u16)], slots: u16) -> Vec<BpfInstruction> {
    let routed: Vec<_> = weights
        .iter()
        .filter(|(slot, weight)| *weight > 0 && slot.0 < slots)
        .collect();
    let total: u32 = routed.iter().map(|(_, weight)| u32::from(*weight)).sum();
    let Some(((last, _), others)) = routed.split_last() else {
        return vec![(RETURN, 0, 0, NO_LISTENER)];
    };
    let mut program = vec![(LOAD_WORD, 0, 0, RANDOM), (MODULO, 0, 0, total)];
    let mut below = 0;
    for (slot, weight) in others {
        below += u32::from(*weight);
        program.push((JUMP_IF_AT_LEAST, 1, 0, below));
        program.push((RETURN, 0, 0, u32::from(slot.0)));
    }
    program.push((RETURN, 0, 0, u32::from(last.0)));
    program
}

/// As [`program`], except that a probe goes to the slot that it is for, whether the slot is routed or not:
/// [`crate::base::probe_source`] says where probes come from. It has nine instructions more.
#[must_use]
pub fn program_for_probes(weights: &[(Slot, u16)], slots: u16) -> Vec<BpfInstruction> {
    // Each jump leads behind these nine when it is not taken as a probe.
    let mut program_for_probes = vec![
        (LOAD_WORD, 0, 0, PROTOCOL),
        (JUMP_IF_EQUAL, 0, 7, IPV4),
        (LOAD_WORD, 0, 0, IPV4_SOURCE),
        (AND, 0, 0, PROBE_NETWORK_BITS),
        (JUMP_IF_EQUAL, 0, 4, PROBE_NETWORK),
        (LOAD_WORD, 0, 0, IPV4_SOURCE),
        (AND, 0, 0, !PROBE_NETWORK_BITS),
        (JUMP_IF_AT_LEAST, 1, 0, u32::from(slots)),
        (RETURN_ACCUMULATOR, 0, 0, 0),
    ];
    program_for_probes.extend(program(weights, slots));
    program_for_probes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::probe_source::probe_source;
    use crate::pool::fixture::{SYN_OF_IPV6, Syn, run, run_for};

    #[test]
    fn a_probe_goes_to_its_slot_though_it_is_unrouted_and_nothing_else_does() {
        let weights = [(Slot(0), 3), (Slot(1), 0), (Slot(2), 5)];
        let (plain, probed) = (program(&weights, 4), program_for_probes(&weights, 4));
        let from = |source: std::net::Ipv4Addr| Syn {
            protocol: IPV4,
            word_at_source: source.to_bits(),
        };
        for random in 0..8 {
            for slot in [0, 1, 2, 3] {
                let probe = from(probe_source(Slot(slot)));
                assert_eq!(run_for(&probed, random, probe), u32::from(slot));
            }
            let others = [
                from(probe_source(Slot(4))),
                from([127, 0, 0, 1].into()),
                from([127, 66, 0, 1].into()),
                from([10, 67, 0, 1].into()),
                SYN_OF_IPV6,
            ];
            for other in others {
                assert_eq!(run_for(&probed, random, other), run(&plain, random), "{other:?}");
            }
        }
        let largest: Vec<_> = (0..1024).map(|slot| (Slot(slot), u16::MAX)).collect();
        assert!(program_for_probes(&largest, 1024).len() <= MOST_INSTRUCTIONS);
        let unrouted = program_for_probes(&[], 4);
        assert_eq!(run_for(&unrouted, 1, from(probe_source(Slot(2)))), 2);
        assert_eq!(run(&unrouted, 1), NO_LISTENER);
    }

    /// How many of `total` consecutive random numbers lead to each listener.
    fn shares(weights: &[(Slot, u16)], slots: u16, total: u32) -> BTreeMap<u32, u32> {
        let program = program(weights, slots);
        let mut shares = BTreeMap::new();
        for random in 0..total {
            *shares.entry(run(&program, random)).or_default() += 1;
        }
        shares
    }

    #[test]
    fn every_routed_slot_gets_its_weight_and_nobody_else_anything() {
        let weights = [
            (Slot(0), 3),
            (Slot(2), 0),
            (Slot(3), 5),
            (Slot(7), 2),
            (Slot(9), 4),
        ];
        assert_eq!(shares(&weights, 8, 10), BTreeMap::from([(0, 3), (3, 5), (7, 2)]));
    }

    #[test]
    fn random_weights_are_kept_exactly() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let slots = random.u16(1..40);
            let weights: Vec<_> = (0..slots).map(|slot| (Slot(slot), random.u16(0..50))).collect();
            let expected: BTreeMap<u32, u32> = weights
                .iter()
                .filter(|(_, w)| *w > 0)
                .map(|(s, w)| (u32::from(s.0), u32::from(*w)))
                .collect();
            let total = expected.values().sum();
            assert_eq!(shares(&weights, slots, total), expected);
        }
    }

    #[test]
    fn when_no_slot_is_routed_the_hash_decides() {
        for weights in [vec![], vec![(Slot(0), 0)], vec![(Slot(4), 1)]] {
            assert_eq!(run(&program(&weights, 4), 5), NO_LISTENER);
        }
    }

    #[test]
    fn the_largest_cluster_with_the_largest_weights_fits() {
        let weights: Vec<_> = (0..1024).map(|slot| (Slot(slot), u16::MAX)).collect();
        let program = program(&weights, 1024);
        assert!(program.len() <= 2_050 && program.len() <= MOST_INSTRUCTIONS);
        assert_eq!(run(&program, u32::from(u16::MAX) * 1024 - 1), 1023);
        assert_eq!(run(&program, u32::from(u16::MAX)), 1);
    }

    fn slot_loads(connections: &[u64], lag_ms: &[u64]) -> Vec<SlotLoad> {
        let slot_loads = |(slot, (connections, lag)): (u16, (&u64, &u64))| SlotLoad {
            slot: Slot(slot),
            connections: connections * 16,
            loop_lag: Duration::from_millis(*lag),
        };
        (0..)
            .zip(connections.iter().zip(lag_ms))
            .map(slot_loads)
            .collect()
    }

    fn weights_of(connections: &[u64], lag_ms: &[u64], foreseen: u64) -> Vec<u16> {
        weights(&slot_loads(connections, lag_ms), foreseen)
            .into_iter()
            .map(|(_, weight)| weight)
            .collect()
    }

    #[test]
    fn equal_slots_get_equal_shares() {
        for connections in [0, 1, 250, 1 << 30, u64::MAX / 16] {
            assert_eq!(weights_of(&[connections; 3], &[0; 3], 0), [FULL_SHARE; 3]);
        }
        assert_eq!(weights_of(&[10; 3], &[500; 3], 0), [FULL_SHARE; 3], "late alike");
        assert_eq!(weights(&[], 7), []);
    }

    #[test]
    fn the_fuller_gets_less_and_everybody_something() {
        let found = weights_of(&[100, 110, 90, 100], &[0; 4], 0);
        assert!(found[1] < found[0] && found[0] < found[2], "{found:?}");
        let extreme = weights_of(&[100_000, 0, 0, 0], &[0; 4], 0);
        assert_eq!(extreme[0], FULL_SHARE / 8);
        assert!(extreme[1] <= FULL_SHARE * 3, "{extreme:?}");
    }

    #[test]
    fn many_that_are_foreseen_make_a_difference_small() {
        let few = weights_of(&[110, 90], &[0; 2], 0);
        let many = weights_of(&[110, 90], &[0; 2], 16 * 4_000);
        assert!(few[0] < many[0] && many[0] < FULL_SHARE, "{few:?} {many:?}");
    }

    #[test]
    fn one_whose_loop_runs_late_gets_less() {
        let found = weights_of(&[10; 4], &[0, 0, 40, 0], 0);
        assert!(found[2] < FULL_SHARE / 3 && found[0] > FULL_SHARE, "{found:?}");
    }
}
