//! What a request got, and the client that asked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::TIMEOUT;

/// What a request got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub(super) fn of(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
        Answer::try_of(result).expect("an answer")
    }

    /// The answer, or what went wrong on the way.
    pub fn try_of(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
        let mut response = result.map_err(|error| error.to_string())?;
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let body = response
            .body_mut()
            .read_to_string()
            .map_err(|error| error.to_string())?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers,
            body,
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A client that never reuses a connection and takes every status for an answer.
pub fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
}
