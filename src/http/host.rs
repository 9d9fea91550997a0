//! The host that a request is for. Different servers read a request that names two hosts, none, or an
//! impossible one differently, which request smuggling and poisoned caches make use of. So such a request is
//! refused, whatever its protocol.

use std::net::Ipv6Addr;

use http::header::{CONNECTION, HOST, HeaderValue};
use http::{Request, StatusCode, Uri, Version};

use super::Problem;

/// 400 `bad_host` unless a request names one possible host: in exactly one Host field (RFC 9112, section
/// 3.2), which HTTP/1.0 and a request of HTTP/2 with `:authority` need not have, and in its target, if the
/// target names one, the same. The answer ends the connection of HTTP/1.1.
pub fn host_problem<B>(request: &Request<B>) -> Option<Problem> {
    let target = match authority(request.uri()) {
        Ok(target) => target,
        Err(detail) => return Some(refused(detail)),
    };
    let mut fields = request.headers().get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (None, _) => match request.version() {
            Version::HTTP_09 | Version::HTTP_10 => None,
            Version::HTTP_11 => Some(refused(
                "a request of HTTP/1.1 says in a Host field whom it is for, and this one has none",
            )),
            _ if target.is_some() => None,
            _ => Some(refused(
                "the request says neither in :authority nor in a Host field whom it is for",
            )),
        },
        (Some(_), Some(_)) => Some(refused("the request has more than one Host field")),
        (Some(field), None) => in_field(field, target, request.uri()),
    }
}

/// Checks the only Host field against the authority of the target.
fn in_field(field: &HeaderValue, target: Option<HostPort<'_>>, uri: &Uri) -> Option<Problem> {
    match (HostPort::read(field.as_bytes()), target) {
        (None, _) => Some(refused("the request's Host field is no host and port")),
        (Some(host), Some(target)) if !host.is_same(&target, default_port(uri)) => Some(refused(
            "the request's target names another host or port than its Host field",
        )),
        (Some(_), _) => None,
    }
}

/// The host that the target itself names: an absolute one, that of CONNECT, or `:authority`.
fn authority(uri: &Uri) -> Result<Option<HostPort<'_>>, &'static str> {
    let Some(authority) = uri.authority() else {
        return Ok(None);
    };
    match HostPort::read(authority.as_str().as_bytes()) {
        Some(host) if !host.host.is_empty() => Ok(Some(host)),
        Some(_) | None => Err("the authority of the request's target is no host and port"),
    }
}

fn default_port(uri: &Uri) -> u16 {
    match uri.scheme_str() {
        Some("https") => 443,
        Some(_) | None => 80,
    }
}

/// A host and perhaps a port, without user information (RFC 3986, section 3.2).
#[derive(Clone, Copy, Debug)]
struct HostPort<'a> {
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Reads a text; `None` if it is no host and port. An empty text is a host without a name, as RFC 9110
    /// has it for targets without an authority.
    fn read(text: &'a [u8]) -> Option<HostPort<'a>> {
        let (host, rest) = match text.first() {
            Some(b'[') => text.split_at(text.iter().position(|byte| *byte == b']')? + 1),
            Some(_) | None => {
                let end = text.iter().position(|byte| *byte == b':');
                text.split_at(end.unwrap_or(text.len()))
            }
        };
        let port = match rest {
            [] => None,
            [b':', ..] if host.is_empty() => return None,
            [b':'] => None,
            [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
                Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
            }
            _ => return None,
        };
        is_host(host).then_some(HostPort { host, port })
    }

    fn is_same(&self, other: &HostPort<'_>, default_port: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// An IPv6 address in brackets, or a name or IPv4 address of characters that RFC 3986 allows.
fn is_host(text: &[u8]) -> bool {
    if let Some(address) = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        return std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    }
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => behind,
            (first, behind) if first.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(first) => behind,
            _ => return false,
        };
    }
    true
}

fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_host", detail)
        .header(CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(version: Version, target: &str, hosts: &[&str]) -> bool {
        let request = Request::builder().version(version).uri(target);
        let request = hosts
            .iter()
            .fold(request, |request, host| request.header(HOST, *host));
        host_problem(&request.body(()).expect("a request")).is_none()
    }

    #[test]
    fn exactly_one_possible_host_passes() {
        for host in [
            "shop.example",
            "127.0.0.1:8080",
            "[::1]:80",
            "[::1]",
            "a_b",
            "a:",
            "a:0",
            "a:65535",
            "caf%C3%A9",
            "",
        ] {
            assert!(passes(Version::HTTP_11, "/", &[host]), "{host:?}");
        }
        for host in [
            "a b",
            "a/b",
            "user@host",
            "a,b",
            "a?b",
            "a\\b",
            "\"a\"",
            "h:-1",
            "h:+1",
            "h:99999",
            "h:80:80",
            "h:x",
            ":80",
            "[::1",
            "::1",
            "[::1]x",
            "[]",
            "[127.0.0.1]",
            "[a]",
            "a]",
            "%",
            "a%2",
            "a%zz",
        ] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                assert!(!passes(version, "/", &[host]), "{host:?} {version:?}");
            }
        }
    }

    #[test]
    fn a_request_that_names_no_host_passes_only_where_none_is_asked_for() {
        assert!(!passes(Version::HTTP_11, "/", &[]));
        assert!(
            !passes(Version::HTTP_11, "http://a/", &[]),
            "RFC 9112 wants the field all the same"
        );
        assert!(passes(Version::HTTP_10, "/", &[]));
        assert!(!passes(Version::HTTP_2, "/", &[]));
        assert!(passes(Version::HTTP_2, "http://a/", &[]));
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert!(!passes(version, "/", &["a", "a"]), "{version:?}");
            assert!(!passes(version, "http://a/", &["a", "a"]), "{version:?}");
        }
    }

    #[test]
    fn target_and_field_name_the_same() {
        for (target, host) in [
            ("http://a/", "a"),
            ("http://A/", "a:80"),
            ("http://a:80/", "a"),
            ("http://a:/", "a"),
            ("https://a/", "a:443"),
            ("http://[::1]:80/", "[::1]"),
            ("a:80", "a"),
            ("/", ""),
        ] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                assert!(passes(version, target, &[host]), "{target} {host:?} {version:?}");
            }
        }
        for (target, host) in [
            ("http://a/", "b"),
            ("http://a/", "a:8080"),
            ("https://a/", "a:80"),
            ("http://a/", ""),
            ("http://user@a/", "a"),
            ("http://user@a/", "user@a"),
            ("a:80", "b:80"),
        ] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                assert!(!passes(version, target, &[host]), "{target} {host:?} {version:?}");
            }
        }
    }
}
