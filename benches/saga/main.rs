//! Orders through the shop's own router on real files, in this process alone: no socket, no second worker.
//! Prints orders per second, so that a change of a statement or an index can be measured on its own.
//!
//! `cargo bench --bench saga [-- SECONDS [DIR]]`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use cluster::base::ids::{Generation, Life};
use cluster::config::{Overrides, read};
use cluster::http::InternalListener;
use cluster::shop::evidence::audit::{Moment, check_invariants};
use cluster::shop::{SECTIONS, http::routes, open};
use cluster::worker::{Identity, Worker};
use http::Request;
use tower::ServiceExt;

const IN_FLIGHT: usize = 64;
const SKUS: usize = 1_000;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let seconds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(5);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = arguments
        .get(1)
        .map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let orders = runtime.block_on(run(dir.clone(), Duration::from_secs(seconds)));
    drop(runtime);
    let audit = check_invariants(&dir, Moment::Rest).expect("the files are readable");
    println!(
        "{:.0} orders/s; {} confirmed; violations: {:?}",
        orders, audit.confirmed, audit.violations
    );
}

async fn run(dir: PathBuf, duration: Duration) -> f64 {
    let mut settings = read(SECTIONS, None, &Overrides::default())
        .expect("the defaults are good")
        .settings;
    settings.cluster.data_dir = dir;
    let life = Life::of(1, 0, 1);
    let worker = Worker::detached(
        Identity {
            life,
            generation: Generation(1),
        },
        settings,
    );
    let routes = routes(open(&worker).await.expect("the shop opens"));
    let router = routes.layer(axum::Extension(InternalListener));
    stock(&router).await;
    let begin = Instant::now();
    let clients: Vec<_> = (0..IN_FLIGHT)
        .map(|_| tokio::spawn(client(router.clone(), begin + duration)))
        .collect();
    let mut placed = 0_u32;
    for client in clients {
        placed += client.await.expect("a client does not panic");
    }
    f64::from(placed) / begin.elapsed().as_secs_f64()
}

async fn stock(router: &Router) {
    for sku in 0..SKUS {
        let body = r#"{"name":"A thing","unit_price":{"amount":450,"currency":"USD"},"on_hand":1000000}"#;
        let request =
            Request::put(format!("/inventory/sku-{sku}")).header("content-type", "application/json");
        let answer = router
            .clone()
            .oneshot(request.body(Body::from(body)).expect("a request"))
            .await;
        assert!(answer.expect("infallible").status().is_success());
    }
}

async fn client(router: Router, until: Instant) -> u32 {
    let mut placed = 0;
    while Instant::now() < until {
        let (customer, sku) = (fastrand::usize(..10_000), fastrand::usize(..SKUS));
        let body = format!(
            r#"{{"customer_id":"c-{customer}","items":[{{"sku":"sku-{sku}","quantity":1}}],"payment":{{"method":"pm_card_visa"}}}}"#
        );
        let request = Request::post("/orders")
            .header("content-type", "application/json")
            .body(Body::from(body));
        let answer = router
            .clone()
            .oneshot(request.expect("a request"))
            .await
            .expect("infallible");
        let status = answer.status();
        to_bytes(answer.into_body(), 65_536).await.expect("a body");
        assert_eq!(status, 201);
        placed += 1;
    }
    placed
}
