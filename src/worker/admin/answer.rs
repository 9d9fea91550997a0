//! What is answered: `/metrics`, `/healthz/…`, and no to everything else. It only reads.

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use super::metrics_client::MetricsClient;
use super::{host, prometheus_text};
use crate::http::{Problem, host_problem};
use crate::observe::{RequestContext, X_REQUEST_ID};
use crate::worker::handle::Worker;
use crate::worker::request::health::{self, Probe};

/// Answers requests at the admin listener.
pub(super) struct AdminService {
    worker: Worker,
    metrics: MetricsClient,
}

impl AdminService {
    pub(super) fn new(worker: Worker, metrics: MetricsClient) -> AdminService {
        AdminService { worker, metrics }
    }

    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let context = RequestContext::of(request.headers());
        let id = context.header();
        let mut response = context.scope(self.answer_within(request)).await;
        response.headers_mut().insert(X_REQUEST_ID, id);
        response
    }

    async fn answer_within<B>(&self, request: &Request<B>) -> Response<Body> {
        match self.route(request).await {
            Ok(mut response) => {
                response
                    .headers_mut()
                    .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
            Err(problem) => problem.into_response(),
        }
    }

    async fn route<B>(&self, request: &Request<B>) -> Result<Response<Body>, Box<Problem>> {
        if let Some(problem) = host_problem(request) {
            return Err(Box::new(problem));
        }
        if !host::is_ours(request) {
            return Err(Box::new(foreign_host()));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Box::new(wrong_method(request.method())));
        }
        match (request.uri().path(), Probe::at(request.uri().path())) {
            ("/metrics", _) => self.metrics().await.map_err(Box::new),
            (_, Some(probe)) => {
                let known = probe.answer_now(request.method(), &self.worker);
                let answer = match known {
                    Some(answer) => answer,
                    None => health::answer_readiness(&self.worker).await,
                };
                answer.map(|response| response.map(Body::from)).map_err(Box::new)
            }
            (path, None) => Err(Box::new(not_found(path))),
        }
    }

    async fn metrics(&self) -> Result<Response<Body>, Problem> {
        let snapshot = self
            .metrics
            .fetch()
            .await
            .map_err(|reason| unknown(reason.to_string()))?;
        let text = prometheus_text::render(&snapshot);
        let mut response = Response::new(Body::from(text));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(prometheus_text::CONTENT));
        Ok(response)
    }
}

fn foreign_host() -> Problem {
    let detail = "the Host header names no address; ask by an IP address or as localhost, because any name \
                  can be pointed here";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "host_refused", detail)
}

fn wrong_method(method: &Method) -> Problem {
    let detail =
        format!("nothing is changed here, so {method} has no meaning; the control socket changes things");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .header(ALLOW, HeaderValue::from_static("GET,HEAD"))
}

fn not_found(path: &str) -> Problem {
    let detail = format!("{path} is not here; /metrics and /healthz/{{liveness,readiness,startup}} are");
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

fn unknown(reason: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "metrics_unknown", reason).retry_after(1)
}
