//! Names: each type once, and none of those that were given up for the field's own terms.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{self, at_most};
use crate::modules::{Module, Modules};
use crate::source;

/// Names that were given up, and what the thing is called instead. They may stand in sentences.
const FORGOTTEN: &[(&str, &str)] = &[
    ("Desk", "RequestQueue, ControlServer, AppState, Cli"),
    ("Seat", "SlotState, ConnectionGuard"),
    ("Member", "PoolWorker"),
    ("Newcomer", "replacement"),
    ("Relief", "Operation::Replace"),
    ("Estate", "OrphanedWork"),
    ("Estates", "takeover"),
    ("Heir", "takeover"),
    ("Heirs", "takeover"),
    ("Inherited", "takeover"),
    ("Household", "Candidates"),
    ("Patience", "LockWait, Timeouts, PendingScale, PendingDrain"),
    ("Growth", "PendingScale"),
    ("Leave", "PendingDrain"),
    ("Passing", "deadlines"),
    ("Settle", "reconcile"),
    ("Lives", "exits, liveness"),
    ("Record", "RestartPolicy, or the owner in front"),
    ("Sentence", "RestartDecision"),
    ("Past", "SlotHistory"),
    ("Archive", "SlotHistory"),
    ("Watch", "Heartbeat, Poller"),
    ("Nap", "Stall"),
    ("Excused", "Stall"),
    ("Overslept", "Stall"),
    ("Sight", "Sample"),
    ("Notice", "Notification"),
    ("Input", "WorkerEvent"),
    ("Occurrence", "SlotEvent"),
    ("Fact", "RolloutEvent"),
    ("Turn", "WorkerContext"),
    ("Hand", "RolloutContext"),
    (
        "Wish",
        "QueuedRequest, AdoptionRequest, OrderRequest, PlannedOrder",
    ),
    ("Trip", "RolloutWaiters"),
    ("Doing", "WorkerState"),
    ("Held", "Drained"),
    ("Crowd", "max_draining"),
    ("World", "Host"),
    ("Kept", "Persisted"),
    ("Nursery", "Spawner"),
    ("Odd", "Violation"),
    ("Oddities", "Violation"),
    ("Graves", "postmortems"),
    ("Autopsy", "why"),
    ("Survey", "status"),
    ("Hasty", "no_wait"),
    ("Luggage", "fds"),
    ("Figures", "metrics"),
    ("Asker", "MetricsClient"),
    ("Floor", "admission"),
    ("House", "AcceptContext"),
    ("Door", "Acceptor"),
    ("Annex", "adopted"),
    ("Annexes", "adopted"),
    ("Haste", "DrainMode"),
    ("Ears", "CommandReader"),
    ("Mind", "CommandHandler"),
    ("Places", "capacity"),
    ("Spare", "emfile_reserve"),
    ("Almanac", "SteadyClock"),
    ("Anchor", "SteadyClock, file_identity"),
    ("Accord", "consistency"),
    ("Discord", "Inconsistent"),
    ("Office", "admin, LeaderLock"),
    ("Keeper", "maintenance"),
    ("Dossier", "order_report"),
    ("Upkeep", "the contract's glue"),
    ("Journal", "repository"),
    ("Driver", "saga_runner"),
    ("Mandate", "ClaimToken"),
    ("Tries", "attempts"),
    ("Spending", "budget_used"),
    ("Spent", "budget_used"),
    ("Unreliable", "fault_injection"),
    ("Seal", "integrity"),
    ("Room", "disk_space"),
    ("Place", "filesystem"),
    ("Book", "client_log"),
    ("Rig", "workspace"),
    ("Reign", "inject"),
    ("Errand", "request"),
    ("Told", "render"),
    ("Talk", "run"),
    ("Wayward", "misbehaving"),
    ("Careers", "lifecycles"),
    ("Pairs", "transition_table"),
    ("Masterless", "dead_master"),
];

/// Each name of a type, with the modules that define one of that name.
fn modules_by_type(modules: &Modules) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for module in modules.all() {
        for name in source::types(&module.tokens) {
            found
                .entry(name.to_owned())
                .or_default()
                .insert(module.name.join("::"));
        }
    }
    found
}

#[test]
fn few_types_share_a_name() {
    let modules = Modules::of_the_library();
    let types = modules_by_type(modules);
    println!("{} names of types", types.len());
    let in_as_many = |least: usize| -> Vec<String> {
        let many = types.iter().filter(|(_, modules)| modules.len() >= least);
        many.map(|(name, modules)| format!("{name}: {modules:?}"))
            .collect()
    };
    at_most(
        limits::NAMES_IN_TWO_MODULES,
        "names of types in two modules or more",
        &in_as_many(2),
    );
    at_most(
        limits::NAMES_IN_THREE_MODULES,
        "names of types in three modules or more",
        &in_as_many(3),
    );
}

/// `order_report` and `OrderReport` are the same name.
fn plain(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

fn forgotten(name: &str) -> Option<&'static str> {
    let known = FORGOTTEN.iter().find(|(old, _)| plain(old) == plain(name));
    known.map(|(_, instead)| *instead)
}

/// The types, modules and files below some roots that bear a name which was given up.
fn relapses() -> Vec<String> {
    let mut found = BTreeSet::new();
    for source in source::everything() {
        let folders = source.path.trim_end_matches(".rs").split('/');
        for name in source::types(&source.tokens).into_iter().chain(folders) {
            if let Some(instead) = forgotten(name) {
                found.insert(format!("{name} in {}: rather {instead}", source.path));
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn names_that_were_given_up_do_not_come_back() {
    at_most(
        limits::FORGOTTEN_NAMES,
        "types, modules and files with a name that was given up",
        &relapses(),
    );
    for name in ["Desk", "LUGGAGE", "emfile_reserve"] {
        assert_eq!(forgotten(name).is_some(), name != "emfile_reserve", "{name}");
    }
}

/// Whether a module adds functions to `Pool`.
fn implements_pool(module: &&Module) -> bool {
    let mut places = module.tokens.windows(3);
    places.any(|place| place[0].is_word("impl") && place[1].is_word("Pool") && place[2].group('{').is_some())
}

/// The names of the fields of `Pool`, when this module defines it.
fn fields_of_pool(module: &Module) -> Option<Vec<String>> {
    let mut places = module.tokens.windows(3);
    let place = places.find(|place| place[0].is_word("struct") && place[1].is_word("Pool"))?;
    let fields = place[2].group('{').expect("named fields").inside.windows(2);
    let named = fields
        .filter(|pair| pair[1].is_mark(':'))
        .filter_map(|pair| pair[0].word());
    Some(named.map(str::to_owned).collect())
}

#[test]
fn the_pool_is_no_object_of_everything() {
    let modules = Modules::of_the_library();
    let files: Vec<String> = modules
        .all()
        .filter(implements_pool)
        .map(|module| module.file.clone())
        .collect();
    assert!(!files.is_empty(), "there is no `impl Pool`");
    at_most(limits::FILES_OF_POOL, "files with an `impl Pool`", &files);
    let fields = modules.all().find_map(fields_of_pool).expect("a struct Pool");
    at_most(limits::FIELDS_OF_POOL, "fields of `Pool`", &fields);
}

/// Where SQLite's library may be named: in the store itself and below it, and in what reads or breaks its
/// files from outside.
const SQL: &[&str] = &["src/store/", "/sqlite/", "src/shop/sandbox/", "src/torture/"];

#[test]
fn sql_stays_in_the_stores() {
    let modules = Modules::of_the_library();
    let names_it = |module: &&Module| {
        let paths = source::paths(&module.tokens);
        paths.iter().any(|path| path[0] == "rusqlite")
    };
    let outside = modules
        .all()
        .filter(|module| !SQL.iter().any(|place| module.file.contains(place)));
    let found: Vec<String> = outside
        .filter(names_it)
        .map(|module| module.file.clone())
        .collect();
    at_most(
        limits::FILES_WITH_SQL,
        "files outside the stores that name rusqlite",
        &found,
    );
}
