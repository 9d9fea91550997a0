//! A stranger's own axum `Router` under supervision: `cargo run --example hello -- serve --workers 2`.

use axum::{Router, routing::get};

fn main() -> std::process::ExitCode {
    cluster::App::new("hello")
        .boot(|worker| async move {
            let me = format!("hello from {}\n", worker.identity().life);
            Ok(Router::new().route("/", get(async move || me.clone())))
        })
        .run()
}
