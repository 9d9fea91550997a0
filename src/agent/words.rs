//! The last words of a program: which of its last lines says why it ended, and what to say of an address that
//! was in use. Pure.

use super::facts::UsedMode;

/// Why a Node program that says nothing on its channel binds by itself, and what to do.
pub(super) const WITHOUT_PRELOAD: &str = "its Node was started without the cluster's preload, as \
    by a script that sets NODE_OPTIONS anew: have the script keep what is there \
    (NODE_OPTIONS=\"$NODE_OPTIONS …\")";

/// The line that says why the program ended, as far as one can tell: the runtimes of several languages add
/// where they were, and Node adds its version.
pub(super) fn last_words(lines: &[String]) -> Option<&str> {
    let telling = lines.iter().rev().find(|line| is_telling(line));
    telling.or(lines.last()).map(String::as_str)
}

fn is_telling(line: &str) -> bool {
    let is_frame = line.starts_with([' ', '\t']) || ["", "}", "]", ")", "{"].contains(&line.trim());
    let is_noise = [
        "Node.js v",
        "npm ",
        "Emitted 'error' event",
        "note: run with `RUST_BACKTRACE",
    ];
    !is_frame && !is_noise.iter().any(|noise| line.starts_with(noise))
}

/// What to say of a program whose last lines tell that it could not bind an address; `None` when they do not.
/// `bound` names the addresses that the cluster has bound for it; `speaks`: a Node program has spoken on its
/// channel.
pub(super) fn told_if_address_in_use(
    lines: &[String],
    mode: UsedMode,
    speaks: bool,
    bound: &[String],
) -> Option<String> {
    let mut told = lines.iter().rev().filter(|line| is_in_use(line)).peekable();
    told.peek()?;
    let port = told.find_map(|line| port(line));
    let on = port.map_or_else(|| "an address".to_owned(), |port| port.to_string());
    let listens = format!("the program listens by itself on {on}, and that address is in use");
    Some(match mode {
        UsedMode::Node if !speaks => format!("{listens}: {WITHOUT_PRELOAD}"),
        UsedMode::Node => format!(
            "{listens}: have it listen without `exclusive` and `reusePort`, so that the cluster binds the \
             address once for all workers, or give it one worker (--workers 1)"
        ),
        UsedMode::Fds => format!(
            "{listens}: the cluster has bound {} for it, so have it take the listener that it is given \
             (descriptor 3, LISTEN_FDS), or leave --bind out",
            bound.join(", ")
        ),
        UsedMode::Reuseport => format!(
            "{listens}, by another program or by a worker of its own: have it set SO_REUSEPORT, give it one \
             worker (--workers 1), or have it take the listener that it is given (--bind, descriptor 3)"
        ),
    })
}

fn is_in_use(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    ["eaddrinuse", "address already in use", "address in use"]
        .iter()
        .any(|words| lower.contains(words))
}

/// The port that a line names: the last number behind a colon.
fn port(line: &str) -> Option<u16> {
    let mut parts = line.rsplit(':');
    parts.find_map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|port| *port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    const NODE: &str = "node:events:497
      throw er; // Unhandled 'error' event
      ^

Error: listen EADDRINUSE: address already in use :::3000
    at Server.setupListenHandle [as _listen2] (node:net:1817:16)
Emitted 'error' event on Server instance at:
    at emitErrorNT (node:net:1796:8) {
  code: 'EADDRINUSE',
  port: 3000
}

Node.js v20.11.1";

    #[test]
    fn the_line_with_the_error_is_found() {
        for (text, expected) in [
            (NODE, "Error: listen EADDRINUSE: address already in use :::3000"),
            (
                "Traceback (most recent call last):\n  File \"a.py\", line 1\nOSError: [Errno 98] Address already in use",
                "OSError: [Errno 98] Address already in use",
            ),
            ("starting\nno configuration at all", "no configuration at all"),
            ("    only a frame", "    only a frame"),
        ] {
            assert_eq!(last_words(&lines(text)), Some(expected));
        }
        assert_eq!(last_words(&[]), None);
    }

    #[test]
    fn an_address_in_use_is_told_with_its_port_and_what_to_do() {
        let bound = ["127.0.0.1:3000".to_owned()];
        let told = |text: &str, mode| told_if_address_in_use(&lines(text), mode, true, &bound);
        let node = told(NODE, UsedMode::Node).expect("told");
        assert!(
            node.starts_with("the program listens by itself on 3000"),
            "{node}"
        );
        assert!(node.contains("exclusive"), "{node}");
        let silent = told_if_address_in_use(&lines(NODE), UsedMode::Node, false, &bound).expect("told");
        assert!(silent.contains("sets NODE_OPTIONS anew"), "{silent}");
        let go = told(
            "listen tcp :8080: bind: address already in use",
            UsedMode::Reuseport,
        )
        .expect("told");
        assert!(go.contains("on 8080") && go.contains("--workers 1"), "{go}");
        let python = told("OSError: [Errno 98] Address already in use", UsedMode::Fds).expect("told");
        assert!(
            python.contains("an address") && python.contains("127.0.0.1:3000"),
            "{python}"
        );
        assert_eq!(told("all is well", UsedMode::Fds), None);
    }
}
