//! What libtest does, for test programs that are also the worker of their own tests and so have a `main` of their own: names to
//! filter by, `--list`, `--ignored`. It must not know any test.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A sentence, and what makes it true.
pub(crate) type Test = (&'static str, fn());

/// Runs those of the tests that the command line asks for, all at once: they wait more than they work. `ignored` are those that
/// need more than any user may do, with what they need; they are run when that is asked for, and listed otherwise.
pub(crate) fn main(tests: &[Test], ignored: &[(Test, &str)]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let wanted = |test: &&Test| filters.is_empty() || filters.iter().any(|filter| test.0.contains(*filter));
    let asked: Vec<Test> = if has("--ignored") {
        ignored
            .iter()
            .map(|(test, _)| test)
            .filter(wanted)
            .copied()
            .collect()
    } else {
        tests.iter().filter(wanted).copied().collect()
    };
    if has("--list") {
        asked.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !has("--ignored") {
        for (test, needs) in ignored.iter().filter(|(test, _)| wanted(&test)) {
            println!("test {} ... ignored, {needs}", test.0);
        }
    }
    run(&asked)
}

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
