//! A worker alone, against a master of a few lines: real processes, sockets and signals. Without libtest,
//! because the same program is also the worker: `cluster::App::run` wants to be its `main`.

mod adopted;
mod ages;
mod app;
mod client;
mod drains;
mod half_closed;
mod http2;
mod http2_drains;
mod lifecycle;
mod limits;
mod master;
mod requests;
#[path = "../runner/mod.rs"]
mod runner;
mod silence;
mod upgrades;

use std::process::ExitCode;

fn main() -> ExitCode {
    if cluster::worker::is_asked_for() {
        return app::app().run();
    }
    let all = [
        ages::TESTS,
        lifecycle::TESTS,
        limits::TESTS,
        drains::TESTS,
        adopted::TESTS,
        http2::TESTS,
        http2_drains::TESTS,
        silence::TESTS,
        requests::TESTS,
        half_closed::TESTS,
        upgrades::TESTS,
    ];
    runner::main(&all.concat(), &[])
}
