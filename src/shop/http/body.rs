//! A request's body: its media type, its size, its JSON; each with an error of its own.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::object::Object;
use crate::http::Problem;

/// Reads a JSON body: 415 for another media type, 413 for a long one, 400 for what is no JSON, 422 for JSON that does not fit.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    expect_json(request.headers())?;
    let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| {
        let detail = rejection.body_text();
        match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", detail),
        }
    })?;
    let object: Object<T> = serde_json::from_slice(&bytes).map_err(|error| unfit(&error))?;
    Ok(object.0)
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("the body's media type is {essence:?}; expected application/json");
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        detail,
    ))
}

fn too_large() -> Problem {
    let detail = "the body is longer than [http] max_body_bytes allows";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn unfit(error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Data => {
            let detail = format!("the body is JSON but not what this route takes: {error}");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail)
        }
        Category::Syntax | Category::Eof | Category::Io => {
            let detail = format!("the body is not JSON: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
        }
    }
}
