//! A program with a configuration, a check, a metric and a clean-up of its own.

use std::time::Duration;

use axum::{Router, routing::get};
use cluster::config::{Key, Kind, Section, Settings};
use cluster::worker::BootError;
use cluster::{App, Worker};
use serde::Deserialize;

/// The section `[greeting]` of the configuration file.
const GREETING: Section = Section {
    name: "greeting",
    doc: "What the visitors read.",
    keys: &[
        Key::new("text", Kind::Text, "hello", "The text of every answer."),
        Key::new(
            "delay",
            Kind::duration(0, 60_000),
            "0s",
            "How long every answer waits.",
        ),
        Key::unset(
            "template",
            Kind::Path,
            "A file with the text; the key text when not set.",
        ),
    ],
};

/// The same section, as the program reads it.
#[derive(Deserialize)]
struct Greeting {
    text: String,
    #[serde(with = "cluster::config::duration")]
    delay: Duration,
    template: Option<std::path::PathBuf>,
}

fn main() -> std::process::ExitCode {
    App::new("greeting")
        .about("Greets every visitor")
        .version(env!("CARGO_PKG_VERSION"))
        .sections(&[GREETING])
        .check(check)
        .boot(boot)
        .on_exit(|| async { tracing::info!("the last visitor has been greeted") })
        .run()
}

/// Runs in the master: at the start, before each reload, and in `greeting check`.
fn check(settings: &Settings) -> Result<(), String> {
    let text = settings.app["greeting"]["text"].as_str().unwrap_or_default();
    match text.len() {
        0..=80 => Ok(()),
        length => Err(format!(
            "greeting.text has {length} bytes, expected at most 80: shorten it"
        )),
    }
}

/// Runs in each worker, before the worker is ready.
async fn boot(worker: Worker) -> Result<Router, BootError> {
    let greeting: Greeting = worker.section("greeting")?;
    let text = match greeting.template {
        Some(path) => std::fs::read_to_string(path)?,
        None => greeting.text,
    };
    let served = worker.counter("greeting_served_total", "Greetings that were served.")?;
    let greet = async move || {
        tokio::time::sleep(greeting.delay).await;
        served.add(1);
        format!("{text}\n")
    };
    Ok(Router::new().route("/", get(greet)))
}
