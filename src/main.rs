//! The `cluster` command: the shop, under the library's own supervisor.

fn main() -> std::process::ExitCode {
    cluster::shop::app().run()
}
