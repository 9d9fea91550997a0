//! Programs that know nothing of this one, under `cluster run`, from outside. The programs are this test
//! program itself, in a part that it is given, and those of the installed Node where there is one.

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod faults;
mod harness;
mod node;
mod node_habits;
mod parts;
#[path = "../runner/mod.rs"]
mod runner;
mod saying;
mod serves;

use std::process::ExitCode;

use runner::Test;

const TESTS: &[Test] = &[
    (
        "a_program_serves_from_the_listener_it_inherits",
        serves::inherited_listener,
    ),
    ("a_reload_loses_no_request", serves::reload),
    (
        "a_program_that_says_nothing_is_ready_when_it_accepts",
        serves::silent_program,
    ),
    ("a_program_says_ready_and_status", serves::notifications),
    (
        "a_program_that_binds_by_itself_is_told_and_serves",
        serves::by_itself,
    ),
    (
        "a_killed_program_is_replaced_and_its_last_words_are_kept",
        ends::killed,
    ),
    ("a_killed_worker_takes_its_program_along", ends::worker_killed),
    ("nobody_of_a_program_is_left_behind", ends::nobody_is_left),
    (
        "a_wrapper_that_ends_at_once_leaves_the_program_its_time",
        ends::wrapper,
    ),
    (
        "a_program_that_ignores_its_signal_is_killed_at_the_deadline",
        ends::ignores_signal,
    ),
    ("a_stopped_program_is_replaced", ends::stopped),
    ("what_cannot_be_started_is_said_in_one_line", faults::not_started),
    (
        "a_program_that_exits_at_once_is_told_with_its_words",
        faults::exits_at_once,
    ),
    ("a_reload_to_a_broken_program_is_backed_out", faults::backed_out),
    ("a_flood_without_an_end_of_line_hurts_nobody", faults::flood),
    ("nothing_of_the_worker_leaks", faults::environment),
    ("a_stop_says_of_programs_only_what_is_known", saying::stop),
    (
        "what_ended_a_program_that_did_not_do_its_work_is_said",
        saying::why_stopped,
    ),
    (
        "a_program_that_accepts_nothing_is_named_as_that",
        saying::why_stuck,
    ),
    (
        "a_failed_probe_is_named_and_kills_in_its_time",
        saying::why_probe_failed,
    ),
    (
        "what_a_program_waits_for_is_said_when_it_is_not_ready",
        saying::never_ready,
    ),
    ("a_rule_that_can_never_hold_is_refused", saying::impossible_rule),
    (
        "a_program_that_finds_its_address_in_use_is_explained",
        saying::address_in_use,
    ),
    ("a_stopped_master_is_named", saying::stopped_master),
    ("a_rollback_says_what_it_does_not_bring_back", saying::rollback),
];

const NODE_TESTS: &[Test] = &[
    ("an_unmodified_node_program_serves_and_reloads", node::reload),
    ("npm_start_serves_and_reloads", node::npm_start),
    ("a_node_program_is_replaced_after_max_requests", node::recycled),
    ("a_release_that_answers_5xx_is_taken_back", node::failing_release),
    (
        "a_stop_waits_for_the_requests_of_a_node_program",
        node::stop_waits,
    ),
    (
        "a_stop_does_not_wait_for_idle_clients_of_a_node_program",
        node::stop_dismisses,
    ),
    ("a_request_that_the_end_of_a_drain_cuts_is_told", node::stop_cuts),
    ("a_probe_counts_beside_the_beats_of_node", node::failing_probe),
    ("a_blocked_event_loop_is_noticed", node::blocked),
    (
        "an_address_that_a_node_program_does_not_use_is_told",
        node::unused_address,
    ),
    ("a_port_of_another_program_is_told_to_node", node::taken_port),
    ("garbage_on_the_channel_hurts_this_program_alone", node::garbage),
    ("a_port_that_is_tested_is_given_back", node_habits::tests_its_port),
    (
        "an_address_that_a_program_leaves_goes_to_the_others",
        node_habits::leaves_an_address,
    ),
    (
        "a_long_message_to_the_parent_hurts_nobody",
        node_habits::talks_to_its_parent,
    ),
    (
        "a_script_that_sets_node_options_anew_is_told",
        node_habits::sets_node_options_anew,
    ),
    (
        "a_server_in_a_worker_thread_is_ready",
        node_habits::serves_from_a_thread,
    ),
    ("a_server_of_https_serves_and_reloads", node_habits::https),
    (
        "a_program_that_leaves_the_cluster_is_replaced",
        node_habits::disconnects,
    ),
    ("a_session_of_http2_is_told_of_a_drain", node_habits::http2),
    ("an_entry_point_is_recognised", node_habits::entry_point),
    (
        "every_way_to_listen_is_served_by_all_workers",
        node::ways_to_listen,
    ),
];

fn main() -> ExitCode {
    if let Some(code) = parts::play() {
        return code;
    }
    if harness::node_is_there() {
        return runner::main(&[TESTS, NODE_TESTS].concat(), &[]);
    }
    eprintln!("SKIPPED: there is no `node` in PATH, so nothing is tried with it");
    let ignored: Vec<(Test, &str)> = NODE_TESTS.iter().map(|test| (*test, "needs node")).collect();
    runner::main(TESTS, &ignored)
}
