//! Which variables of the master's environment reach workers that are another user. Pure.

/// Variables that are known to hold no secret and that a program may need to start at all. A `*` at the end
/// stands for any rest.
pub const PASSED: &[&str] = &[
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TZDIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_MIN_STACK",
];

/// Variables by which a worker and its program reach the cluster. A configuration that set one would cut them
/// off, or would promise something that nobody keeps.
const RESERVED: &[&str] = &[
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
    "CLUSTER_WORKER",
    "CLUSTER_LIFE",
];

/// Whether a variable of this name is set by the cluster itself.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether a variable can have this name.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |letter: char| letter != '=' && !letter.is_whitespace() && !letter.is_control();
    !text.is_empty() && text.chars().all(fits)
}

/// Whether a variable of this name is passed on; `more` are the names that the configuration adds.
#[must_use]
pub fn is_passed(name: &str, more: &[String]) -> bool {
    let mut known = PASSED.iter().copied().chain(more.iter().map(String::as_str));
    known.any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    })
}

/// Whether this is the name of a variable, or the beginning of names with a `*` at the end.
pub(super) fn is_pattern(text: &str) -> bool {
    let start = text.strip_suffix('*');
    let name = start.unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (start.is_some() || !name.is_empty())
        && name.bytes().all(fits)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays_behind() {
        let more = ["STRIPE_KEY".to_owned(), "SHOP_*".to_owned()];
        for passed in ["PATH", "LC_ALL", "TZ", "STRIPE_KEY", "SHOP_", "SHOP_NAME"] {
            assert!(is_passed(passed, &more), "{passed}");
        }
        for withheld in [
            "HOME",
            "AWS_SECRET_ACCESS_KEY",
            "STRIPE_KEY_2",
            "SHOP",
            "path",
            "",
        ] {
            assert!(!is_passed(withheld, &more), "{withheld}");
        }
        assert!(!is_passed("STRIPE_KEY", &[]));
        assert!(is_passed("HOME", &["*".to_owned()]));
    }

    #[test]
    fn a_pattern_is_a_name_or_its_beginning() {
        assert!(PASSED.iter().all(|pattern| is_pattern(pattern)));
        assert!(["A", "_a1", "AWS_*", "*"].iter().all(|text| is_pattern(text)));
        assert!(
            ["", "1A", "A-B", "A=B", "*A", "A**", "É"]
                .iter()
                .all(|text| !is_pattern(text))
        );
    }
}
