//! The `cluster` command: the shop, under the library's own supervisor.

use cluster::shop::office;
use cluster::torture;
use cluster::worker::AppCommand;

const COMMANDS: &[AppCommand] = &[office::SAGAS, office::DOCTOR, office::BACKUP, torture::COMMAND];

fn main() -> std::process::ExitCode {
    cluster::shop::app().commands(COMMANDS).run()
}
