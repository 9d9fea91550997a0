//! The transfer codings of a request's body (RFC 9112, section 6.1). Only `chunked`, once, is undone. A body
//! with another coding would be handed on as it came, and different servers would read it differently.

use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, StatusCode};

use super::Problem;

/// 501 `unknown_transfer_coding` for a body with another coding than `chunked`, 400 `bad_transfer_coding` for
/// a body that is chunked twice. The answer ends the connection.
pub fn framing_problem<B>(request: &Request<B>) -> Option<Problem> {
    let fields = request.headers().get_all(TRANSFER_ENCODING).iter();
    let codings = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty());
    let first = codings.next()?;
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let rest: Vec<&[u8]> = codings.collect();
    if !is_chunked(first) || !rest.iter().all(|coding| is_chunked(coding)) {
        let detail = "the only Transfer-Encoding that is understood here is chunked";
        return Some(refused(
            StatusCode::NOT_IMPLEMENTED,
            "unknown_transfer_coding",
            detail,
        ));
    }
    if !rest.is_empty() {
        let detail = "the request's body is chunked more than once";
        return Some(refused(StatusCode::BAD_REQUEST, "bad_transfer_coding", detail));
    }
    None
}

fn refused(status: StatusCode, code: &'static str, detail: &str) -> Problem {
    Problem::new(status, code, detail).header(CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(fields: &[&str]) -> Option<u16> {
        let request = fields.iter().fold(Request::builder(), |request, field| {
            request.header(TRANSFER_ENCODING, *field)
        });
        framing_problem(&request.body(()).expect("a request")).map(|problem| problem.status().as_u16())
    }

    #[test]
    fn chunked_once_passes_and_nothing_else() {
        for good in [&[][..], &["chunked"], &["Chunked"], &[" chunked ,"]] {
            assert_eq!(status(good), None, "{good:?}");
        }
        for unknown in [
            &["gzip, chunked"][..],
            &["gzip", "chunked"],
            &["chunked, gzip"],
            &["identity"],
        ] {
            assert_eq!(status(unknown), Some(501), "{unknown:?}");
        }
        for twice in [&["chunked, chunked"][..], &["chunked", "CHUNKED"]] {
            assert_eq!(status(twice), Some(400), "{twice:?}");
        }
    }
}
