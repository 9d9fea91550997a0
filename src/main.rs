//! The `cluster` command: the shop under the library's own supervisor, or any program.

use cluster::shop::admin;
use cluster::torture;
use cluster::worker::AppCommand;

const COMMANDS: &[AppCommand] = &[
    admin::SAGAS,
    admin::DOCTOR,
    admin::BACKUP,
    admin::REPLAY,
    #[cfg(feature = "postgres")]
    admin::MOVE,
    torture::COMMAND,
];

fn main() -> std::process::ExitCode {
    cluster::shop::app().commands(COMMANDS).with_run_command().run()
}
