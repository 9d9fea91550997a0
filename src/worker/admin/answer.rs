//! What is answered: `/metrics`, `/healthz/…`, and no to everything else. It only reads.

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use super::metrics_client::Asker;
use super::{host, text};
use crate::http::Problem;
use crate::worker::handle::Worker;
use crate::worker::request::health::{self, Probe};

/// Answers one request after the other.
pub(super) struct Clerk {
    worker: Worker,
    asker: Asker,
}

impl Clerk {
    pub(super) fn new(worker: Worker, asker: Asker) -> Clerk {
        Clerk { worker, asker }
    }

    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        match self.word(request).await {
            Ok(mut response) => {
                response
                    .headers_mut()
                    .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
            Err(problem) => problem.into_response(),
        }
    }

    async fn word<B>(&self, request: &Request<B>) -> Result<Response<Body>, Box<Problem>> {
        if !host::is_ours(request) {
            return Err(Box::new(no_host_of_ours()));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Box::new(reads_only(request.method())));
        }
        match (request.uri().path(), Probe::at(request.uri().path())) {
            ("/metrics", _) => self.metrics().await.map_err(Box::new),
            (_, Some(probe)) => {
                let known = probe.answer_now(request.method(), &self.worker);
                let word = match known {
                    Some(word) => word,
                    None => health::ask(&self.worker).await,
                };
                word.map(|response| response.map(Body::from)).map_err(Box::new)
            }
            (path, None) => Err(Box::new(nothing_there(path))),
        }
    }

    async fn metrics(&self) -> Result<Response<Body>, Problem> {
        let snapshot = self
            .asker
            .ask()
            .await
            .map_err(|reason| unknown(reason.to_string()))?;
        let text = text::render(&snapshot).map_err(|reason| unknown(reason.to_string()))?;
        let mut response = Response::new(Body::from(text));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(text::CONTENT));
        Ok(response)
    }
}

fn no_host_of_ours() -> Problem {
    let detail = "the Host header names no address; ask by an IP address or as localhost, because any name can be pointed here";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "host_refused", detail)
}

fn reads_only(method: &Method) -> Problem {
    let detail =
        format!("nothing is changed here, so {method} has no meaning; the control socket changes things");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .header(ALLOW, HeaderValue::from_static("GET,HEAD"))
}

fn nothing_there(path: &str) -> Problem {
    let detail = format!("{path} is not here; /metrics and /healthz/{{liveness,readiness,startup}} are");
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

fn unknown(reason: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "metrics_unknown", reason).retry_after(1)
}
