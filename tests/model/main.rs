//! The saga's protocol, exhaustively within bounds: two workers, three orders for the last article (two cards
//! pay, one is declined), a crash, a claim from an owner that is only asleep and goes on at any later moment,
//! lost commands, lost replies (which make duplicates), late packets and late replies, exhausted budgets, in
//! every order. The saga's own table decides; what it speaks to is a model of the services, with their fences
//! and claims.
//!
//! The bounds are a history's faults: at most one crash, one claim from a sleeper, and so many outcomes that
//! no life learns. What runs here by itself has one of those; two of them, and no bound that is lower, is
//! `cargo test --release --test model -- --ignored --nocapture`.

mod bounds;
mod histories;
mod participants;
mod protocol;
mod services;
mod state;

use std::collections::BTreeSet;

use bounds::{Bounds, Sabotage};
use protocol::{MONEY_STANDS, NO_TRESPASS, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

const USUAL: Bounds = Bounds {
    crashes: 1,
    claims: 1,
    unknowns: 1,
};

fn check(bounds: Bounds) {
    let protocol = Protocol {
        bounds,
        sabotage: Sabotage::Nothing,
    };
    let checker = protocol.checker().threads(2).symmetry().spawn_dfs().join();
    println!(
        "{bounds:?}: {} states, {} of them different, depth {}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

/// Whether the check notices.
fn is_noticed(sabotage: Sabotage, property: &'static str) -> bool {
    let protocol = Protocol {
        bounds: USUAL,
        sabotage,
    };
    let noticed = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = protocol.checker().threads(2).symmetry().finish_when(noticed);
    checker.spawn_dfs().join().discovery(property).is_some()
}

#[test]
fn every_interleaving_keeps_the_invariants() {
    check(USUAL);
}

#[test]
#[ignore = "minutes and gigabytes; in release"]
fn every_interleaving_with_two_unknown_outcomes_keeps_the_invariants() {
    check(Bounds { unknowns: 2, ..USUAL });
}

#[test]
fn without_fences_a_sleeper_would_write_for_a_claimed_saga() {
    assert!(is_noticed(Sabotage::NoFences, NO_TRESPASS));
}

#[test]
fn participants_that_take_a_lower_claim_would_be_noticed() {
    assert!(is_noticed(Sabotage::NoFencesAndLowerClaims, NO_TRESPASS));
}

#[test]
fn a_compensation_from_unknown_would_be_noticed() {
    assert!(is_noticed(Sabotage::CompensateFromUnknown, MONEY_STANDS));
}
