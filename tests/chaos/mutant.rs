//! The `cluster` command with mutations compiled in (feature `mutants`): what `tests/chaos/mutants.rs` hunts.

fn main() -> std::process::ExitCode {
    cluster::shop::app().run()
}
