//! A service manager such as systemd, as far as the master knows one: the socket of `NOTIFY_SOCKET`.

use std::os::unix::net::UnixDatagram;

use super::{Plan, TIMEOUT};

/// The plan with a service manager, and the socket that the service manager reads.
pub fn notify_socket(plan: Plan) -> (Plan, UnixDatagram) {
    let path = plan.directory().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(TIMEOUT)).expect("set");
    (
        plan.environment("NOTIFY_SOCKET", path.to_str().expect("text")),
        socket,
    )
}

/// Reads messages to systemd until one has a `STATUS=` that contains this.
pub fn wait_for_status(socket: &UnixDatagram, wanted: &str) {
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let Ok(length) = socket.recv(&mut buffer) else {
            panic!("no STATUS= contains {wanted:?}: {seen:#?}");
        };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let mut lines = text.lines();
        if lines.any(|line| {
            line.strip_prefix("STATUS=")
                .is_some_and(|status| status.contains(wanted))
        }) {
            return;
        }
        seen.push(text);
    }
}
