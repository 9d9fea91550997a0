//! The `cluster` command: the shop, under the library's own supervisor.

use cluster::shop::admin;
use cluster::torture;
use cluster::worker::AppCommand;

const COMMANDS: &[AppCommand] = &[admin::SAGAS, admin::DOCTOR, admin::BACKUP, torture::COMMAND];

fn main() -> std::process::ExitCode {
    cluster::shop::app().commands(COMMANDS).run()
}
