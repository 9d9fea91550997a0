//! An address to listen on, as people write it: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/shop.sock`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest path of a Unix socket, in bytes. The kernel's `sun_path` holds 108, of which the last is the
/// closing zero.
pub const LONGEST_UNIX_PATH: usize = 107;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Address {
    /// An IP address and a port, written `127.0.0.1:8080` or `[::1]:8080`.
    Tcp(SocketAddr),
    /// The path of a Unix socket, written `unix:/run/shop.sock`.
    Unix(PathBuf),
}

impl Address {
    /// Whether only processes of this machine can connect to the address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }

    /// Whether a socket that is bound to `self` keeps another from being bound to `other`: the two are the
    /// same, or `self` is every address of its family at the port of `other`. An IPv6 listener counts as IPv6
    /// only.
    #[must_use]
    pub fn covers(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Tcp(wide), Address::Tcp(narrow)) if wide != narrow => {
                wide.ip().is_unspecified()
                    && wide.is_ipv4() == narrow.is_ipv4()
                    && wide.port() == narrow.port()
                    && wide.port() != 0
            }
            (one, another) => one == another,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The text is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address (expected IP:PORT, as in 127.0.0.1:8080 or [::1]:8080, or unix:/PATH of at most \
     {LONGEST_UNIX_PATH} bytes)"
)]
pub struct NotAnAddress(String);

fn fits_a_socket(path: &str) -> bool {
    path.starts_with('/') && path.len() <= LONGEST_UNIX_PATH && !path.contains('\0')
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl std::str::FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match text.strip_prefix("unix:") {
            Some(path) if fits_a_socket(path) => Ok(Address::Unix(PathBuf::from(path))),
            Some(_) => Err(NotAnAddress(text.to_owned())),
            None => text
                .parse()
                .map(Address::Tcp)
                .map_err(|_| NotAnAddress(text.to_owned())),
        }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect(text)
    }

    #[test]
    fn an_address_survives_being_written_and_read() {
        for text in ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0", "unix:/run/shop.sock"] {
            assert_eq!(address(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("unix:/{}", "x".repeat(LONGEST_UNIX_PATH));
        for text in [
            "",
            "8080",
            ":8080",
            "localhost:8080",
            "127.0.0.1",
            "127.0.0.1:70000",
            "unix:",
            "unix:x",
            "unix:/a\0b",
            &long,
        ] {
            assert!(
                text.parse::<Address>().is_err(),
                "{text:?} was taken for an address"
            );
        }
    }

    #[test]
    fn an_unspecified_address_covers_its_family_at_its_port_alone() {
        assert!(address("0.0.0.0:80").covers(&address("127.0.0.1:80")));
        assert!(address("[::]:80").covers(&address("[::1]:80")));
        assert!(address("127.0.0.1:80").covers(&address("127.0.0.1:80")));
        for (wide, narrow) in [
            ("0.0.0.0:80", "127.0.0.1:81"),
            ("0.0.0.0:80", "[::1]:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("0.0.0.0:0", "127.0.0.1:0"),
            ("0.0.0.0:80", "unix:/x"),
        ] {
            assert!(
                !address(wide).covers(&address(narrow)),
                "{wide} was taken to cover {narrow}"
            );
        }
    }

    #[test]
    fn loopback_is_recognised_in_both_families_and_mapped() {
        for text in ["127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/x"] {
            assert!(address(text).is_loopback(), "{text} is loopback");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
            assert!(!address(text).is_loopback(), "{text} is not loopback");
        }
    }
}
