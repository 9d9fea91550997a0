//! Programs of the installed Node under the module that leads the conversation with them: what is relied on
//! of Node's internals, tried. Without Node, the tests are counted as ignored. `CLUSTER_TEST_NODE` names
//! another Node than the one in PATH.

mod drains;
mod harness;
mod programs;
mod starts;

#[path = "../runner/mod.rs"]
mod runner;

use std::process::ExitCode;

use runner::Test;

const TESTS: &[Test] = &[
    ("each_way_to_start_a_program_serves", starts::each_way_serves),
    (
        "a_wrapper_with_a_channel_of_its_own_serves",
        starts::a_wrapper_with_a_channel,
    ),
    (
        "a_compiler_before_the_program_ends_by_itself",
        starts::a_compiler_before,
    ),
    ("of_two_programs_at_once_the_second_is_told", starts::two_at_once),
    ("a_wrapper_that_nobody_knows_is_told", starts::an_unknown_wrapper),
    ("a_lost_descriptor_is_told", starts::a_lost_descriptor),
    (
        "a_node_without_the_internals_is_told",
        starts::a_node_without_internals,
    ),
    (
        "the_bare_protocol_serves_without_the_preload",
        starts::without_preload,
    ),
    ("all_ways_to_listen_work", programs::all_ways_to_listen),
    ("an_error_number_reaches_the_program", programs::an_error_number),
    ("messages_go_both_ways", programs::messages),
    (
        "a_program_that_disconnects_is_told_behind_a_shell",
        programs::disconnects,
    ),
    ("a_socket_of_the_programs_own_is_told", programs::own_socket),
    (
        "worker_threads_and_children_are_left_alone",
        programs::threads_and_children,
    ),
    ("a_blocked_loop_does_not_beat", programs::blocked_loop),
    ("keep_alive_clients_do_not_notice_drains", drains::keep_alive),
    (
        "an_idle_connection_is_closed_at_the_end_of_a_drain",
        drains::idle_connection,
    ),
    (
        "an_answer_that_says_keep_alive_is_corrected",
        drains::explicit_keep_alive,
    ),
];

fn main() -> ExitCode {
    if harness::node_is_there() {
        return runner::main(TESTS, &[]);
    }
    eprintln!("SKIPPED: there is no `node` in PATH, so nothing is tried with it");
    let ignored: Vec<(Test, &str)> = TESTS.iter().map(|test| (*test, "needs node")).collect();
    runner::main(&[], &ignored)
}
