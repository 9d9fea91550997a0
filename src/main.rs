//! The `cluster` command.

use std::process::ExitCode;

use axum::Router;

fn main() -> ExitCode {
    cluster::App::new("cluster")
        .boot(|_| async { Ok(Router::new()) })
        .run()
}
