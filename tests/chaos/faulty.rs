//! The bad worker: what a bad release looks like to the master. Which kind of bad is in the file that
//! `CHAOS_FAULT` names.

use std::process::ExitCode;

use axum::Router;
use http::StatusCode;

/// What is wrong with it.
pub(crate) const EXITS: &str = "exits";
pub(crate) const HANGS: &str = "hangs";
pub(crate) const ERRORS: &str = "errors";

pub(crate) fn main() -> ExitCode {
    let file = std::env::var_os("CHAOS_FAULT").expect("the stage has set it");
    let fault = std::fs::read_to_string(file).expect("the scene has written it");
    let app = cluster::App::new("cluster");
    match fault.as_str() {
        EXITS => {
            eprintln!("a bad release: it exits at boot");
            ExitCode::from(1)
        }
        HANGS => app.boot(|_worker| std::future::pending()).run(),
        ERRORS => app
            .boot(|_worker| async { Ok(Router::new().fallback(async || StatusCode::INTERNAL_SERVER_ERROR)) })
            .run(),
        other => panic!("no such fault: {other}"),
    }
}
