//! The shop on PostgreSQL as people run it: the binary, and a server that goes away, refuses, is too old or
//! full. `tests/postgres/server` starts the servers; without PostgreSQL, the tests are counted as ignored.

#[path = "../common/mod.rs"]
mod common;
#[path = "../runner/mod.rs"]
mod runner;

mod commands;
mod outages;
mod pgbouncer;
mod refusals;
mod restore;
mod server;
mod standby;
mod tls;

use std::process::ExitCode;

use runner::Test;

const TESTS: &[Test] = &[
    (
        "a_server_that_is_away_at_the_start_is_waited_for",
        outages::away_at_the_start,
    ),
    (
        "a_server_that_crashes_costs_no_acknowledged_order",
        outages::crash,
    ),
    ("the_orders_of_a_killed_worker_are_taken_over", outages::takeover),
    ("a_reload_loses_nothing", outages::reload),
    (
        "what_no_waiting_mends_ends_the_start_with_one_line",
        refusals::fatal,
    ),
    ("what_waiting_mends_is_waited_for", refusals::mended),
    ("a_database_that_becomes_read_only_is_told", refusals::demoted),
    ("a_server_that_never_answers_is_told", refusals::silent),
    ("a_standby_is_waited_for_until_it_is_promoted", standby::failover),
    ("a_full_disk_of_the_server_is_told", refusals::full_disk),
    (
        "an_open_transaction_that_holds_events_back_is_told",
        outages::held_events,
    ),
    ("tls_is_checked", tls::all),
    ("a_wrong_password_ends_the_start", refusals::password),
    ("the_commands_work_at_postgresql", commands::all),
    ("a_move_that_is_killed_goes_on", commands::killed_move),
    (
        "a_server_that_was_restored_to_an_earlier_time_is_gone_on_with",
        restore::point_in_time,
    ),
];

/// Each has a server or two of its own.
const AT_ONCE: usize = 6;

fn main() -> ExitCode {
    if server::is_installed() {
        let bouncer: Test = ("the_shop_works_by_way_of_pgbouncer", pgbouncer::all);
        if pgbouncer::is_installed() {
            return runner::run(&[TESTS, &[bouncer]].concat(), &[], AT_ONCE);
        }
        eprintln!("SKIPPED: there is no PgBouncer, so nothing is tried with it (apt-get install pgbouncer)");
        return runner::run(TESTS, &[(bouncer, "needs PgBouncer")], AT_ONCE);
    }
    eprintln!(
        "SKIPPED: there is no PostgreSQL, so nothing is tried with it (tests/postgres/server install \
         installs it)"
    );
    let ignored: Vec<(Test, &str)> = TESTS.iter().map(|test| (*test, "needs PostgreSQL")).collect();
    runner::main(&[], &ignored)
}
