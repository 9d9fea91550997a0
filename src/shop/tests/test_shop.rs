//! A shop in a directory of its own, with a method per gesture.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::base::ids::{Generation, Life};
use crate::config::{Overrides, Settings, read};
use crate::http::InternalListener;
use crate::shop::SECTIONS;
use crate::shop::boot::{OpenedShop, open_with_stores};
use crate::shop::contract::StreamId;
use crate::shop::customers::CustomersRepository;
use crate::shop::events::StreamsRecorder;
use crate::shop::evidence::audit::{Audit, Moment, check_invariants};
use crate::shop::http::{AppState, routes};
use crate::shop::orders::{self, OrdersRepository};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::store::{Store, StoreOptions};
use crate::worker::{Identity, Worker};

pub(super) struct TestShop {
    pub(super) state: AppState,
    pub(super) router: Router,
    pub(super) dir: tempfile::TempDir,
    /// Orders, inventory, payments, ledger.
    pub(super) stores: Vec<Store>,
    pub(super) clock: Arc<SteadyClock>,
    pub(super) streams: Arc<StreamsRecorder>,
    pub(super) customers: CustomersRepository,
    pub(super) orders_stream: StreamId,
    pub(super) worker: Worker,
    pub(super) settings: Settings,
}

/// An answer, whole.
#[derive(Debug)]
pub(super) struct TestAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl TestAnswer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// Of a problem document: its status and code.
    pub(super) fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        (
            self.status.as_u16(),
            self.json()["code"].as_str().unwrap().to_owned(),
        )
    }

    async fn of(response: Response) -> TestAnswer {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        TestAnswer {
            status,
            headers,
            bytes,
        }
    }
}

pub(super) fn default_settings() -> Settings {
    read(SECTIONS, None, &Overrides::default()).unwrap().settings
}

/// Whether a test that works on the files of the databases has none to work on. It is said with the reason.
pub(super) fn has_no_files(test: &str, why: &str) -> bool {
    #[cfg(feature = "postgres")]
    if super::postgres::is_used() {
        eprintln!("SKIPPED on PostgreSQL, because {why}: {test}");
        return true;
    }
    let _ = (test, why);
    false
}

pub(super) fn life(epoch: u32) -> Life {
    Life::of(1, 0, epoch)
}

/// The routes as a client of an internal listener sees them.
pub(super) fn internal_routes(state: AppState) -> Router {
    routes(state).layer(axum::Extension(InternalListener))
}

pub(super) fn order_of(sku: &str, quantity: i64, method: &str) -> Value {
    json!({"customer_id": "c-1", "items": [{"sku": sku, "quantity": quantity}], "payment": {"method": method}})
}

impl TestShop {
    pub(super) async fn open() -> TestShop {
        TestShop::open_with(|_| {}).await
    }

    pub(super) async fn open_with(change: impl FnOnce(&mut AppState)) -> TestShop {
        TestShop::open_in(tempfile::tempdir().unwrap(), change).await
    }

    pub(super) async fn open_in(dir: tempfile::TempDir, change: impl FnOnce(&mut AppState)) -> TestShop {
        let mut settings = default_settings();
        settings.cluster.data_dir = dir.path().to_owned();
        #[cfg(feature = "postgres")]
        super::postgres::use_server(&mut settings).await;
        // The lives of most tests are on no named host.
        #[cfg(feature = "postgres")]
        super::postgres::go_on_without_name(&settings);
        TestShop::open_as(dir, settings, change).await
    }

    pub(super) async fn open_as(
        dir: tempfile::TempDir,
        settings: Settings,
        change: impl FnOnce(&mut AppState),
    ) -> TestShop {
        let identity = Identity {
            life: life(1),
            generation: Generation(1),
        };
        let worker = Worker::detached(identity, settings.clone());
        let OpenedShop {
            mut state,
            stores,
            clock,
            streams,
            customers,
            orders_stream,
            #[cfg(feature = "postgres")]
                lease: _,
        } = open_with_stores(&worker).await.unwrap();
        change(&mut state);
        let router = internal_routes(state.clone());
        TestShop {
            state,
            router,
            dir,
            stores,
            clock,
            streams,
            customers,
            orders_stream,
            worker,
            settings,
        }
    }

    /// The orders as another life has them, which runs in another process.
    pub(super) async fn orders_repository_of(&self, life: Life) -> OrdersRepository {
        #[cfg(feature = "postgres")]
        if super::postgres::is_used() {
            return super::postgres::orders_repository_of(self, life).await;
        }
        let cell = crate::scoreboard::Board::private().cell("orders").unwrap();
        let options = StoreOptions::new(self.dir.path().join(orders::FILE), cell);
        let store = Store::open(&orders::SCHEMA, options).unwrap();
        let _ = life;
        OrdersRepository::new(store, Arc::clone(&self.clock))
    }

    pub(super) async fn send(&self, request: Request<Body>) -> TestAnswer {
        TestAnswer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> TestAnswer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn place(&self, body: &Value) -> TestAnswer {
        self.send(post(body.to_string(), None)).await
    }

    pub(super) async fn place_with_key(&self, body: &Value, key: &str) -> TestAnswer {
        self.send(post(body.to_string(), Some(key))).await
    }

    pub(super) async fn put(&self, sku: &str, body: &Value) -> TestAnswer {
        let request = Request::put(format!("/inventory/{sku}")).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// The same of an article that was read right before.
    pub(super) async fn put_as_read(&self, sku: &str, body: &Value) -> TestAnswer {
        let read = self.get(&format!("/inventory/{sku}")).await;
        let request = Request::put(format!("/inventory/{sku}"))
            .header("content-type", "application/json")
            .header("if-match", &read.headers["etag"]);
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    pub(super) fn audit(&self) -> Audit {
        check_invariants(self.dir.path(), Moment::Rest).unwrap()
    }

    pub(super) fn sound(&self) -> Audit {
        let audit = self.audit();
        assert_eq!(audit.violations, Vec::<String>::new());
        audit
    }
}

pub(super) fn post(body: impl Into<Body>, key: Option<&str>) -> Request<Body> {
    let mut request = Request::post("/orders").header("content-type", "application/json; charset=utf-8");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(body.into()).unwrap()
}
