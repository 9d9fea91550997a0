//! Clients meanwhile: not one request fails, on connections that stay open and on new ones.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::scenes::workers;
use crate::common::{Cli, Plan, TIMEOUT, replaceable};

/// One request on a connection of the caller's.
fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"GET /healthz/liveness HTTP/1.1\r\nhost: x\r\n\r\n")?;
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    // Head and body are short; the body's length is told.
    while !is_whole(&heard) {
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            length => heard.extend_from_slice(&buffer[..length]),
        }
    }
    if heard.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err(std::io::Error::other(
            String::from_utf8_lossy(&heard).into_owned(),
        ))
    }
}

fn is_whole(heard: &[u8]) -> bool {
    let text = String::from_utf8_lossy(heard).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.strip_prefix("content-length: ")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    length.is_some_and(|length| body.len() >= length)
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

#[test]
fn five_upgrades_under_load_fail_no_request_and_close_no_connection() {
    let (cluster, _program) = replaceable(Plan::shop());
    let (address, before) = (cluster.address(), workers(&cluster));
    let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let failed = std::thread::scope(|scope| {
        let client = |keep: bool| {
            let (over, answered) = (&over, &answered);
            move || {
                let mut stream = connect(address).map_err(|error| error.to_string())?;
                while !over.load(Ordering::Relaxed) {
                    if !keep {
                        stream = connect(address).map_err(|error| error.to_string())?;
                    }
                    ask(&mut stream).map_err(|error| format!("keep-alive {keep}: {error}"))?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), String>(())
            }
        };
        let clients: Vec<_> = [true, true, false, false]
            .map(|keep| scope.spawn(client(keep)))
            .into();
        for _ in 0..5 {
            let so_far = answered.load(Ordering::Relaxed);
            cluster.run_json(&["upgrade"]);
            // Clients are served before the next one, or there is nothing to fail.
            let deadline = std::time::Instant::now() + TIMEOUT;
            while answered.load(Ordering::Relaxed) < so_far + 100 {
                assert!(
                    std::time::Instant::now() < deadline,
                    "nobody is answered any more"
                );
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
        let ends = clients.into_iter().map(|client| client.join().expect("it ends"));
        ends.filter_map(Result::err).collect::<Vec<String>>()
    });
    assert!(failed.is_empty(), "{failed:?} of {answered:?}");
    assert_eq!(workers(&cluster), before);
}
