//! The application the tests put into a worker.

use std::time::Duration;

use axum::extract::Query;
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use cluster::http::fallbacks;
use cluster::{App, Worker};
use serde::Deserialize;

/// `[test]`
#[derive(Default, Deserialize)]
#[serde(default)]
struct Section {
    boot_error: Option<String>,
    descriptors: Option<u64>,
    not_ready: Option<String>,
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

pub(crate) fn app() -> App {
    App::new("test")
        .boot(boot)
        .on_exit(|| async { tracing::info!("the exit hook ran") })
}

async fn boot(worker: Worker) -> Result<Router, cluster::worker::BootError> {
    let section: Section = worker.section("test")?;
    if let Some(error) = section.boot_error {
        return Err(error.into());
    }
    if let Some(most) = section.descriptors {
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most)?;
    }
    if let Some(reason) = section.not_ready {
        worker.readiness(move || std::future::ready(Err(reason.clone())));
    }
    worker.on_inherit(|estate| async move { tracing::info!(?estate, "taken over") });
    let echoes = worker.counter("test_echoes_total", "Bodies echoed.")?;
    let me = worker.identity().life.to_string();
    let poisoned = worker.clone();
    Ok(fallbacks(
        Router::new()
            .route("/", get(async move || me.clone()))
            .route(
                "/echo",
                post(async move |body: Bytes| {
                    echoes.add(1);
                    body
                }),
            )
            .route("/slow", get(slow))
            .route("/panic", get(panics))
            .route("/poison", get(async move || poisoned.fail("a test"))),
    ))
}

async fn slow(Query(slow): Query<Slow>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(slow.ms)).await;
    "at last"
}

async fn panics() {
    panic!("a secret of the inside");
}
