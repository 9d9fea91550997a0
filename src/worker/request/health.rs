//! `/healthz/{liveness,readiness,startup}`: answered before the router, so that every application has them
//! and a busy router costs them nothing.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::config::duration;
use crate::http::Problem;
use crate::worker::handle::Worker;

/// Probes do not wait much longer; an application that has not answered by then is not ready.
const READINESS_TIMEOUT: Duration = Duration::from_secs(1);
const DRAINING: &str = "this worker is draining";
const STOPS_SOON: &str = "the cluster stops soon; requests are still served";

/// The question of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Probe {
    /// Does the event loop of this process turn? The answer is the proof; no database is asked.
    Liveness,
    /// May requests come here? Not while the worker drains, nor shortly before the cluster stops, nor when
    /// the application says no.
    Readiness,
    /// Has the boot hook returned, or said that it waits? It has, or there would be no answer.
    Startup,
}

impl Probe {
    /// The question that is asked at this path, if there is one.
    pub(in crate::worker) fn at(path: &str) -> Option<Probe> {
        match path.strip_prefix("/healthz/")? {
            "liveness" => Some(Probe::Liveness),
            "readiness" => Some(Probe::Readiness),
            "startup" => Some(Probe::Startup),
            _ => None,
        }
    }

    /// The path where the question is asked.
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
            Probe::Liveness => Some(Ok(ok(b"alive\n"))),
            Probe::Startup => Some(Ok(ok(b"started\n"))),
            Probe::Readiness => Some(Err(not_ready(leaving(worker)?))),
        }
    }
}

/// Why no request should come here, whatever the application says.
pub(in crate::worker) fn leaving(worker: &Worker) -> Option<&'static str> {
    match (worker.is_draining(), worker.stops_soon()) {
        (true, _) => Some(DRAINING),
        (false, true) => Some(STOPS_SOON),
        (false, false) => None,
    }
}

/// Whether this worker is ready, or the reason why not.
pub(in crate::worker) async fn readiness(worker: &Worker) -> Result<(), String> {
    if let Some(reason) = leaving(worker) {
        return Err(reason.to_owned());
    }
    if let Some(reason) = worker.boot_wait().reason() {
        return Err(reason);
    }
    let Some(question) = worker.ask_readiness() else {
        return Ok(());
    };
    tokio::time::timeout(READINESS_TIMEOUT, question)
        .await
        .unwrap_or_else(|_| {
            Err(format!(
                "the application has not said within {} whether it is ready",
                duration::format(READINESS_TIMEOUT)
            ))
        })
}

/// [`readiness`] as an answer.
pub(in crate::worker) async fn answer_readiness(worker: &Worker) -> Result<Response<Bytes>, Problem> {
    readiness(worker)
        .await
        .map(|()| ok(b"ready\n"))
        .map_err(|reason| not_ready(&reason))
}

fn ok(word: &'static [u8]) -> Response<Bytes> {
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
