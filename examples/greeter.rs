//! gRPC services beside routes, on the same port: `cargo run --example greeter -- serve --workers 1`, then
//!
//! ```console
//! $ buf curl --protocol grpc --http2-prior-knowledge -d '{"name":"Ada"}' \
//!     http://127.0.0.1:8080/greeter.v1.Greeter/Greet
//! ```
//!
//! The services are made by tonic's generator: in a program of yours by its `build.rs` (crate
//! `tonic-prost-build`), here by a test of this repository that keeps `proto/generated` fresh. They know
//! nothing of the cluster. A stream that goes on for as long as its client likes asks the worker whether it
//! drains.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Router, routing::get};
use cluster::worker::GrpcServices;
use cluster::{App, Worker};
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// What the generator made of `proto/greeter/v1/greeter.proto`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated code"
)]
pub(crate) mod v1 {
    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/generated/greeter.v1.rs"
    ));
    /// What reflection shows to clients that have no `.proto` file.
    pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/generated/greeter.v1.descriptors"
    ));
}

pub(crate) fn main() -> std::process::ExitCode {
    App::new("greeter").boot(boot).run()
}

async fn boot(worker: Worker) -> Result<Router, cluster::worker::BootError> {
    let greeter = v1::greeter_server::GreeterServer::new(Greeter {
        worker: worker.clone(),
    });
    worker.grpc(GrpcServices::new().with(greeter).descriptors(v1::DESCRIPTORS));
    Ok(Router::new().route("/", get(async || "hello over HTTP\n")))
}

struct Greeter {
    worker: Worker,
}

#[tonic::async_trait]
impl v1::greeter_server::Greeter for Greeter {
    type GreetOftenStream = Greetings;

    async fn greet(&self, request: Request<v1::GreetRequest>) -> Result<Response<v1::GreetResponse>, Status> {
        let name = request.into_inner().name;
        match name.as_str() {
            "" => return Err(Status::invalid_argument("name is empty; expected whom to greet")),
            "nobody" => panic!("there is nobody to greet"),
            // Somebody who takes long to be greeted: the name says how long.
            slow => {
                if let Some(ms) = slow.strip_prefix("slow-").and_then(|ms| ms.parse().ok()) {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                }
            }
        }
        let life = self.worker.identity().life;
        Ok(Response::new(v1::GreetResponse {
            text: format!("hello {name}, from worker {life}"),
        }))
    }

    async fn greet_often(
        &self,
        request: Request<v1::GreetOftenRequest>,
    ) -> Result<Response<Greetings>, Status> {
        let v1::GreetOftenRequest { name, every_ms } = request.into_inner();
        let every = Duration::from_millis(every_ms.max(1).into());
        let (sender, greetings) = mpsc::channel(1);
        let worker = self.worker.clone();
        tokio::spawn(async move {
            // A slow client makes the sender wait: nothing piles up here.
            while sender.send(format!("hello {name}")).await.is_ok() {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = sender.closed() => return,
                    () = worker.draining() => return,
                }
            }
        });
        Ok(Response::new(Greetings(greetings)))
    }

    async fn greet_all(
        &self,
        request: Request<Streaming<v1::GreetAllRequest>>,
    ) -> Result<Response<v1::GreetAllResponse>, Status> {
        let mut names = Vec::new();
        let mut requests = request.into_inner();
        while let Some(request) = requests.next().await {
            names.push(request?.name);
        }
        let text = format!("hello {}", names.join(", "));
        Ok(Response::new(v1::GreetAllResponse { text }))
    }
}

/// Greetings until their sender has enough; the client is told that all went well.
struct Greetings(mpsc::Receiver<String>);

impl Stream for Greetings {
    type Item = Result<v1::GreetOftenResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.0.poll_recv(cx);
        next.map(|text| text.map(|text| Ok(v1::GreetOftenResponse { text })))
    }
}
