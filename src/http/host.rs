//! The host that a request is for (RFC 9112, section 3.2): HTTP/1.1 names it in exactly one Host field.
//! Different servers read a request with two fields, or none, differently, which request smuggling makes use
//! of.

use http::header::{CONNECTION, HOST, HeaderValue};
use http::{Request, StatusCode, Version};

use super::Problem;

/// 400 `bad_host` for a request of HTTP/1.1 without a Host field, and for any request with two of them or
/// with one that is no host. The answer ends the connection. HTTP/1.0 need not have the field, nor HTTP/2,
/// which has `:authority`.
pub fn host_problem<B>(request: &Request<B>) -> Option<Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => Some(refused(
            "a request of HTTP/1.1 says in a Host field whom it is for, and this one has none",
        )),
        (None, _) => None,
        (Some(_), Some(_)) => Some(refused("the request has more than one Host field")),
        (Some(host), None) if is_host(host.as_bytes()) => None,
        (Some(_), None) => Some(refused("the request's Host field is no host and port")),
    }
}

/// Whether a text has only characters of a name, an address or a port. It may be empty, as RFC 9110 has it
/// for targets without an authority.
fn is_host(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_host", detail)
        .header(CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, hosts: &[&str]) -> bool {
        let request = Request::builder().version(version);
        let request = hosts
            .iter()
            .fold(request, |request, host| request.header(HOST, *host));
        host_problem(&request.body(()).expect("a request")).is_none()
    }

    #[test]
    fn exactly_one_good_host_passes() {
        for host in ["shop.example", "127.0.0.1:8080", "[::1]:80", "a_b", ""] {
            assert!(check(Version::HTTP_11, &[host]), "{host:?}");
        }
        for host in ["a b", "a/b", "user@host", "a,b", "a?b", "a\\b", "\"a\""] {
            assert!(!check(Version::HTTP_11, &[host]), "{host:?}");
        }
        assert!(!check(Version::HTTP_11, &[]));
        assert!(check(Version::HTTP_10, &[]));
        assert!(check(Version::HTTP_2, &[]));
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert!(!check(version, &["a", "a"]), "{version:?}");
        }
    }
}
