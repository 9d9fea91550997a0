//! The answers of a router to a path or a method that it does not have, as problem documents.

use axum::Router;
use http::{Method, StatusCode, Uri};

use super::Problem;

/// Turns the empty 404 and 405 of a router into problem documents: 404 `not_found`, 405 `method_not_allowed`
/// (with the `Allow` header that axum fills in). To be called when the router has all its routes.
pub fn fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

async fn not_found(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {:?}", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!(
        "{:?} cannot be asked with {method}; the Allow header says how it can",
        uri.path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http::Request;
    use http::header::{ALLOW, CONTENT_TYPE};
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, path: &str) -> axum::response::Response {
        let router = fallbacks(Router::new().route("/here", get(async || "yes")));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .expect("a request");
        router.oneshot(request).await.expect("infallible")
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem_document() {
        let response = ask("GET", "/there").await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test]
    async fn a_wrong_method_says_which_are_right() {
        let response = ask("DELETE", "/here").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[ALLOW], "GET,HEAD");
    }
}
