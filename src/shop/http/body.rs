//! The body of a request: its media type, its coding, its size, its text and its JSON, each with a problem of
//! its own. What cannot be understood is named as what it is.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::object::Object;
use crate::http::Problem;

/// The media types of a body.
struct Media {
    accepted: &'static [&'static str],
    /// Tells the client which they are, where HTTP has a header for it.
    header: Option<(HeaderName, HeaderValue)>,
}

/// Reads a JSON body. Answers 415 for another media type or a compressed body, 413 for a body that is too
/// long, 400 for a body that is not JSON, 422 for JSON that the route does not take.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let media = Media {
        accepted: &["application/json"],
        header: None,
    };
    read(request, &media).await
}

/// As [`json`], for a merge patch, which has a media type of its own (RFC 7396).
pub(super) async fn merge_patch<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
    let types = HeaderValue::from_static("application/merge-patch+json, application/json");
    let media = Media {
        accepted: &["application/merge-patch+json", "application/json"],
        header: Some((ACCEPT_PATCH, types)),
    };
    read(request, &media).await
}

async fn read<T: DeserializeOwned>(request: Request, media: &Media) -> Result<T, Problem> {
    expect_json(request.headers(), media)?;
    expect_plain(request.headers())?;
    let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| {
        let detail = rejection.body_text();
        match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", detail),
        }
    })?;
    expect_text(&bytes)?;
    let object: Object<T> = serde_json::from_slice(&bytes).map_err(|error| unfit(&error))?;
    Ok(object.0)
}

fn expect_json(headers: &HeaderMap, media: &Media) -> Result<(), Problem> {
    let expected = || media.accepted.join(" or ");
    let Some(value) = headers.get(CONTENT_TYPE) else {
        let detail = format!("the request has no Content-Type; expected {}", expected());
        return Err(wrong_type(detail, media));
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !media
        .accepted
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
    {
        let detail = format!("the body's media type is {essence:?}; expected {}", expected());
        return Err(wrong_type(detail, media));
    }
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.eq_ignore_ascii_case("charset")
            .then(|| value.trim_matches('"'))
    });
    match charset {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => {
            let detail = format!("the body's charset is {charset:?}; JSON is UTF-8 (RFC 8259)");
            Err(wrong_type(detail, media))
        }
        Some(_) | None => Ok(()),
    }
}

fn wrong_type(detail: String, media: &Media) -> Problem {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let problem = Problem::new(status, "unsupported_media_type", detail);
    match &media.header {
        Some((name, types)) => problem.header(name.clone(), types.clone()),
        None => problem,
    }
}

/// Bodies are taken as they are: what is packed is not unpacked.
fn expect_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let fields = headers.get_all(CONTENT_ENCODING).iter();
    let codings: Vec<_> = fields
        .map(|field| String::from_utf8_lossy(field.as_bytes()))
        .collect();
    let codings = codings.join(", ");
    let is_plain = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    if codings.split(',').map(str::trim).all(is_plain) {
        return Ok(());
    }
    Err(packed(&format!("the body's Content-Encoding is {codings:?}")))
}

/// RFC 9110 (15.5.16): Accept-Encoding tells the client that the coding is what is wrong.
fn packed(what: &str) -> Problem {
    let detail = format!("{what}; a body is taken without compression only");
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Problem::new(status, "unsupported_content_encoding", detail)
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
}

fn expect_text(bytes: &[u8]) -> Result<(), Problem> {
    let wrong = match bytes {
        [0x1f, 0x8b, ..] => return Err(packed("the body is gzip data")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(packed("the body is zstd data")),
        [0xef, 0xbb, 0xbf, ..] => {
            "the body begins with a byte order mark; JSON has none (RFC 8259)".to_owned()
        }
        // No JSON in UTF-8 has a zero byte among its first two.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            "the body is UTF-16; JSON is UTF-8 (RFC 8259)".to_owned()
        }
        _ if bytes.trim_ascii().is_empty() => "the body is empty; expected a JSON object".to_owned(),
        _ => match std::str::from_utf8(bytes) {
            Ok(_) => return Ok(()),
            Err(error) => format!("the body is not UTF-8 (at byte {})", error.valid_up_to() + 1),
        },
    };
    Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_json", wrong))
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
