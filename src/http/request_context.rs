//! The request's context as an axum extractor.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::observe::RequestContext;

/// The context that the worker gave the request; without a worker around, that of its headers.
impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<RequestContext, Infallible> {
        Ok(RequestContext::current().unwrap_or_else(|| RequestContext::of(&parts.headers)))
    }
}
