//! Which host a request names. A page in somebody's browser can let a name of its own point to this machine,
//! but it cannot make the browser send an address. So requests for an address or for `localhost` are
//! answered, and no others.

use http::Request;
use http::header::HOST;
use http::uri::Authority;

/// Whether a request names this machine by an address or as `localhost`: in its only Host header, and in its
/// target if the target names a host.
pub(super) fn is_ours<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let in_header = host.to_str().is_ok_and(is_address_or_localhost);
    let in_target = request.uri().authority();
    in_header && in_target.is_none_or(|target| is_address_or_localhost(target.as_str()))
}

fn is_address_or_localhost(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    // Beside the host there is a port or nothing: no user, and no rest that the parser let pass.
    let rest = authority.as_str().strip_prefix(host);
    let is_port = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix(':').is_some_and(|port| {
                port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
            })
    };
    if !rest.is_some_and(is_port) {
        return false;
    }
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok() || host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request<()> {
        let request = Request::builder().uri(target);
        hosts
            .iter()
            .fold(request, |request, host| request.header(HOST, *host))
            .body(())
            .expect("a request")
    }

    #[test]
    fn addresses_and_localhost_are_meant() {
        for host in [
            "127.0.0.1:9900",
            "127.0.0.1",
            "[::1]:9900",
            "10.1.2.3:1",
            "LocalHost:9900",
        ] {
            assert!(is_ours(&request("/metrics", &[host])), "{host}");
        }
    }

    #[test]
    fn names_and_nonsense_are_not() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:9900",
            "localhost.evil.example",
            "",
            "user@127.0.0.1",
            "[::1",
            "127.0.0.1:9900, evil.example",
            "2130706433",
            "[::1].evil",
            "[::1]evil:1",
            "localhost:evil",
            "localhost:99999",
            "localhost:+1",
        ] {
            assert!(!is_ours(&request("/metrics", &[host])), "{host:?}");
        }
        assert!(!is_ours(&request("/metrics", &[])));
        assert!(!is_ours(&request("/metrics", &["127.0.0.1", "127.0.0.1"])));
        assert!(!is_ours(&request("http://evil.example/metrics", &["127.0.0.1"])));
    }
}
