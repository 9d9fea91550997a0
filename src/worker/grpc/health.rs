//! `grpc.health.v1` over the worker's own readiness. `Check` asks, as `/healthz/readiness` does. `Watch`
//! tells what has changed: a drain at once, all else at the next look, and there are looks only while
//! somebody watches.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::health_v1::health_check_response::ServingStatus;
use super::health_v1::health_server::Health;
use super::health_v1::{HealthCheckRequest, HealthCheckResponse};
use crate::worker::handle::Worker;
use crate::worker::request::health::{leaving, readiness};

/// The time between two looks at the readiness while somebody watches it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A watcher is told of the drain, and its stream stays open for this time, so that it learns it as news and
/// not as a failure.
const LAST_NEWS: Duration = Duration::from_secs(1);

/// The health of this worker.
#[derive(Clone)]
pub(super) struct HealthService {
    worker: Worker,
    /// The full names of the services that are asked for.
    names: Arc<[&'static str]>,
    /// The latest look, for all who watch.
    seen: watch::Sender<ServingStatus>,
}

impl HealthService {
    pub(super) fn new(worker: Worker, names: Vec<&'static str>) -> HealthService {
        HealthService {
            worker,
            names: names.into(),
            seen: watch::Sender::new(ServingStatus::Unknown),
        }
    }

    fn knows(&self, name: &str) -> bool {
        name.is_empty() || self.names.contains(&name)
    }

    async fn status(&self) -> ServingStatus {
        match readiness(&self.worker).await {
            Ok(()) => ServingStatus::Serving,
            Err(_) => ServingStatus::NotServing,
        }
    }

    /// Follows the changes. The first of all watchers begins the looking.
    fn subscribe(&self) -> watch::Receiver<ServingStatus> {
        let is_first = self.seen.receiver_count() == 0;
        let receiver = self.seen.subscribe();
        if is_first {
            tokio::spawn(self.clone().look());
        }
        receiver
    }

    /// Looks at the readiness until nobody watches it.
    async fn look(self) {
        loop {
            let status = self.status().await;
            if leaving(&self.worker).is_some() || self.worker.is_draining() {
                self.seen.send_replace(ServingStatus::NotServing);
                return;
            }
            self.seen.send_if_modified(|seen| {
                let is_new = *seen != status;
                *seen = status;
                is_new
            });
            tokio::select! {
                () = self.seen.closed() => return,
                () = self.worker.leaving() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Tells a watcher what changes until it goes, or until the drain.
    async fn tell(self, sender: mpsc::Sender<ServingStatus>) {
        let mut seen = self.subscribe();
        seen.mark_changed();
        let mut told = ServingStatus::Unknown;
        loop {
            let news = tokio::select! {
                () = sender.closed() => return,
                () = self.worker.draining() => ServingStatus::NotServing,
                Ok(()) = seen.changed() => *seen.borrow_and_update(),
            };
            if news != told && sender.send(news).await.is_err() {
                return;
            }
            told = news;
            if self.worker.is_draining() && told == ServingStatus::NotServing {
                break;
            }
        }
        tokio::select! {
            () = sender.closed() => {}
            () = tokio::time::sleep(LAST_NEWS) => {}
        }
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = StatusStream;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        if !self.knows(&name) {
            return Err(Status::not_found(format!("there is no service {name:?}")));
        }
        Ok(Response::new(answer(self.status().await)))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<StatusStream>, Status> {
        let name = request.into_inner().service;
        let (sender, receiver) = mpsc::channel(1);
        if self.knows(&name) {
            tokio::spawn(self.clone().tell(sender));
        } else {
            tokio::spawn(tell_that_it_is_unknown(self.worker.clone(), sender));
        }
        Ok(Response::new(StatusStream(receiver)))
    }
}

/// The stream stays open: a service could be added later, and then it would be told.
async fn tell_that_it_is_unknown(worker: Worker, sender: mpsc::Sender<ServingStatus>) {
    if sender.send(ServingStatus::ServiceUnknown).await.is_ok() {
        tokio::select! {
            () = sender.closed() => {}
            () = worker.draining() => {}
        }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

/// What a watcher is told.
pub(super) struct StatusStream(mpsc::Receiver<ServingStatus>);

impl Stream for StatusStream {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.0.poll_recv(cx);
        next.map(|status| status.map(|status| Ok(answer(status))))
    }
}
