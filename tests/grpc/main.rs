//! gRPC beside routes on the same port: the greeter of `examples/greeter.rs` at the edge and in a reload, the
//! services of the shop, and clients that are not ours. Without libtest, because the same program is master
//! and worker of the greeter, too.

mod client;
#[path = "../common/mod.rs"]
mod common;
mod edge;
mod foreign;
#[path = "../../examples/greeter.rs"]
mod greeter;
mod health;
mod internal;
#[path = "../runner/mod.rs"]
mod runner;
mod shop;

use std::process::ExitCode;

use common::{Cluster, Plan};

fn main() -> ExitCode {
    let is_a_cluster = std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "serve");
    if is_a_cluster || cluster::worker::is_asked_for() {
        return greeter::main();
    }
    runner::main(
        &[
            edge::TESTS,
            health::TESTS,
            shop::TESTS,
            internal::TESTS,
            foreign::TESTS,
        ]
        .concat(),
        &[],
    )
}

/// A greeter of one worker, with more lines of configuration.
fn greeter(more: &str) -> Cluster {
    let program = std::env::current_exe().expect("this program");
    let config = format!("[cluster]\nworkers = 1\nbind = [\"127.0.0.1:0\"]\nbake_time = \"50ms\"\n{more}");
    let plan = Plan::shop().program(&program).config(&config);
    plan.arguments(&["--admin", "127.0.0.1:0"]).start()
}
