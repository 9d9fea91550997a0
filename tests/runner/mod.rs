//! A test program with a `main` of its own, because it is also the worker of its tests. Names to filter by,
//! `--list`, `--ignored` and the report are libtest's. It must not know any test.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// The name of a test, and the test.
pub(crate) type Test = (&'static str, fn());

/// The tests as libtest runs them, all side by side unless the command line says otherwise: they wait more
/// than they work. `ignored` are those that need more than any user may do, with what they need.
pub(crate) fn main(tests: &[Test], ignored: &[(Test, &'static str)]) -> ExitCode {
    run(tests, ignored, tests.len())
}

/// As [`main`], with at most so many at once: for tests that need much of the machine each.
pub(crate) fn run(tests: &[Test], ignored: &[(Test, &'static str)], at_once: usize) -> ExitCode {
    let always = tests.iter().map(|test| trial(*test));
    let on_request = ignored
        .iter()
        .map(|(test, needs)| trial(*test).with_ignored_flag(true).with_kind(*needs));
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(at_once.max(1));
    libtest_mimic::run(&arguments, always.chain(on_request).collect()).exit_code()
}

fn trial((name, test): Test) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
