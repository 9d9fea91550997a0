//! A worker that is no program of this library: it says READY, beats, answers, and lets go of its lifeline.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use cluster::scoreboard::Board;
use cluster::sys::{inherit, notify};

use crate::app::descriptor;

/// systemd's first descriptor.
const FIRST: i32 = 3;

pub(crate) fn main() -> ExitCode {
    drop(inherit::take(descriptor("CLUSTER_LIFELINE_FD")).expect("a lifeline"));
    let board = inherit::take(descriptor("CLUSTER_SCOREBOARD_FD")).expect("a scoreboard");
    let board = Board::open(board).expect("a scoreboard");
    let cell = board.cell("runtime").expect("the first");
    let listener = TcpListener::from(inherit::take(FIRST).expect("a listener"));
    listener.set_nonblocking(true).expect("set");
    let address = std::env::var_os("NOTIFY_SOCKET").expect("a worker has one");
    notify::send(&address, "READY=1").expect("it is taken");
    loop {
        cell.stamp();
        match listener.accept() {
            Ok((client, _)) => answer(client),
            Err(_nobody) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Whatever it wants.
fn answer(mut client: std::net::TcpStream) {
    let mut head = [0; 1024];
    let _wish = client.read(&mut head);
    let _gone =
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nforeign\n");
}
