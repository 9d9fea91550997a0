//! A worker alone, against a master of a few lines: real processes, sockets and signals. Without libtest, because the same
//! program is also the worker: `cluster::App::run` wants to be its `main`.

mod annexes;
mod app;
mod client;
mod drains;
mod http2;
mod limits;
mod lives;
mod master;
mod requests;
mod silence;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    if cluster::worker::is_asked_for() {
        return app::app().run();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let all = [
        lives::TESTS,
        limits::TESTS,
        drains::TESTS,
        annexes::TESTS,
        http2::TESTS,
        silence::TESTS,
        requests::TESTS,
    ]
    .concat();
    let wanted: Vec<Test> = all
        .into_iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(*f)))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run(&wanted)
}

/// All at once: they wait more than they work.
fn run(tests: &[Test]) -> ExitCode {
    let failed = std::thread::scope(|scope| {
        let running: Vec<_> = tests
            .iter()
            .map(|test| (test.0, scope.spawn(|| catch_unwind(AssertUnwindSafe(test.1)))))
            .collect();
        let ends = running
            .into_iter()
            .map(|(name, test)| (name, test.join().is_ok_and(|end| end.is_ok())));
        ends.inspect(|(name, ok)| println!("test {name} ... {}", if *ok { "ok" } else { "FAILED" }))
            .filter(|(_, ok)| !ok)
            .count()
    });
    println!(
        "\ntest result: {} passed; {failed} failed\n",
        tests.len() - failed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
