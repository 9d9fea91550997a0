//! The description of the API (OpenAPI 3.1), and a page to read it by. Both are compiled in, and the page
//! asks no other server.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use super::AppState;
use super::conditions::Preconditions;
use crate::http::Problem;

/// The document. Tests hold it against the routes and the codes of problems.
pub(in crate::shop) const DOCUMENT: &str = include_str!("../openapi/openapi.json");
const PAGE: &str = include_str!("../openapi/page.html");
const SCRIPT: &str = include_str!("../openapi/page.js");
const STYLE: &str = include_str!("../openapi/page.css");

pub(super) async fn document(conditions: Preconditions) -> Result<Response, Problem> {
    conditions.answer_json(DOCUMENT.into(), None)
}

/// The page, its script and its style.
pub(super) fn page() -> Router<AppState> {
    Router::new()
        .route("/docs", get(async || part("text/html; charset=utf-8", PAGE)))
        .route(
            "/docs/page.js",
            get(async || part("text/javascript; charset=utf-8", SCRIPT)),
        )
        .route(
            "/docs/page.css",
            get(async || part("text/css; charset=utf-8", STYLE)),
        )
}

fn part(media: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media)),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'self'"),
        ),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, text).into_response()
}
