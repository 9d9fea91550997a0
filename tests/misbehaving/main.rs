//! Workers that lie or misbehave, as real processes under a real master: what cannot be true is dropped and
//! logged, the master and the honest siblings go on. Without libtest, because the same program is master and
//! worker, too.

mod app;
#[path = "../common/mod.rs"]
mod common;
mod foreign;
mod lies;
mod memory;
mod queues;
#[path = "../runner/mod.rs"]
mod runner;

use std::process::ExitCode;

fn main() -> ExitCode {
    if app::speaks() {
        return ExitCode::SUCCESS;
    }
    let is_a_cluster = std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "serve");
    if is_a_cluster || cluster::worker::is_asked_for() {
        return app::main();
    }
    let all = [lies::TESTS, queues::TESTS, memory::TESTS];
    runner::main(&all.concat(), memory::ROOTS)
}
