//! `/healthz/{liveness,readiness,startup}`: answered before the router, so that every application has them and a busy router
//! costs them nothing.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::http::Problem;
use crate::worker::handle::Worker;

/// Whoever probes does not wait much longer; what cannot be told by then is not ready.
const SOON: Duration = Duration::from_secs(1);
const DRAINING: &str = "this worker is draining";

/// Which question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Probe {
    /// Does this process's event loop turn? Its answer is the proof; no database is asked.
    Liveness,
    /// May requests come here? Not while draining, nor when the application says no.
    Readiness,
    /// Has the boot hook returned? It has, or nobody would answer.
    Startup,
}

impl Probe {
    /// The question behind a path, if it is one.
    pub(in crate::worker) fn at(path: &str) -> Option<Probe> {
        match path.strip_prefix("/healthz/")? {
            "liveness" => Some(Probe::Liveness),
            "readiness" => Some(Probe::Readiness),
            "startup" => Some(Probe::Startup),
            _ => None,
        }
    }

    /// Where it is asked.
    pub(in crate::worker) fn path(self) -> &'static str {
        match self {
            Probe::Liveness => "/healthz/liveness",
            Probe::Readiness => "/healthz/readiness",
            Probe::Startup => "/healthz/startup",
        }
    }

    /// The answer, when it is known without asking the application.
    pub(in crate::worker) fn answer_now(
        self,
        method: &Method,
        worker: &Worker,
    ) -> Option<Result<Response<Bytes>, Problem>> {
        if method != Method::GET && method != Method::HEAD {
            return Some(Err(wrong_method(method)));
        }
        match self {
            Probe::Liveness => Some(Ok(yes(b"alive\n"))),
            Probe::Startup => Some(Ok(yes(b"started\n"))),
            Probe::Readiness if worker.is_draining() => Some(Err(not_ready(DRAINING))),
            Probe::Readiness => None,
        }
    }
}

/// Whether this worker is ready, for whoever asks, or why not.
pub(in crate::worker) async fn readiness(worker: &Worker) -> Result<(), String> {
    if worker.is_draining() {
        return Err(DRAINING.to_owned());
    }
    let Some(question) = worker.ask_readiness() else {
        return Ok(());
    };
    tokio::time::timeout(SOON, question).await.unwrap_or_else(|_| {
        Err(format!(
            "the application has not said within {SOON:?} whether it is ready"
        ))
    })
}

/// The same as an answer.
pub(in crate::worker) async fn ask(worker: &Worker) -> Result<Response<Bytes>, Problem> {
    readiness(worker)
        .await
        .map(|()| yes(b"ready\n"))
        .map_err(|reason| not_ready(&reason))
}

fn yes(word: &'static [u8]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(word));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn not_ready(reason: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", reason).retry_after(1)
}

fn wrong_method(method: &Method) -> Problem {
    let detail = format!("a health check is asked with GET or HEAD, not {method}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .header(ALLOW, HeaderValue::from_static("GET,HEAD"))
}
