//! The smallest program: `cargo run --release --example hello -- --workers 2`.

use axum::{Router, routing::get};

fn main() -> std::process::ExitCode {
    cluster::App::new("hello")
        .boot(|worker| async move {
            let text = format!("hello from worker {}\n", worker.identity().life);
            Ok(Router::new().route("/", get(async move || text.clone())))
        })
        .run()
}
