//! A program with flags of its own, a log of its own, and handlers that know their client.

use axum::extract::ConnectInfo;
use axum::{Router, routing::get};
use cluster::worker::{BootError, ClientAddress};
use cluster::{App, Worker};

/// Beside `--bind`, `--workers` and the other flags of the supervisor.
#[derive(clap::Args)]
struct Flags {
    /// Whom every answer greets
    #[arg(long, default_value = "visitor", value_name = "NAME")]
    whom: String,
}

fn main() -> std::process::ExitCode {
    // Before `run`, so that the supervisor's lines go there, too.
    if let Ok(output) = cluster::worker::log_output() {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(output)
            .init();
    }
    App::new("visitors")
        .about("Greets every visitor by address")
        .flags::<Flags>()
        .connect_info()
        .boot(boot)
        .run()
}

/// Runs in each worker, before the worker is ready.
async fn boot(worker: Worker) -> Result<Router, BootError> {
    let Flags { whom } = worker.flags()?;
    let greet = async move |ConnectInfo(client): ConnectInfo<ClientAddress>| {
        tracing::info!(%client, "a visit");
        format!("hello, {whom} at {client}\n")
    };
    Ok(Router::new().route("/", get(greet)))
}
