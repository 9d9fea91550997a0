//! `cluster top` on a terminal: a frame fits into it, also after it was resized.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::pty::{Winsize, openpty};

use crate::common::{Cluster, Plan, TIMEOUT};

/// Clears what is left of the last frame below this one.
const END: &[u8] = b"\x1b[J";

/// `cluster top` on a terminal of its own.
struct Top {
    program: Child,
    terminal: File,
    /// What was read and belongs to no frame yet.
    unread: Vec<u8>,
}

impl Top {
    fn start(cluster: &Cluster, lines: u16, columns: u16) -> Top {
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).expect("a terminal");
        let program = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(["top", "--data-dir"])
            .arg(cluster.data())
            .stdin(Stdio::null())
            .stdout(pty.slave)
            .spawn();
        Top {
            program: program.expect("started"),
            terminal: File::from(pty.master),
            unread: Vec::new(),
        }
    }

    fn resize(&self, lines: &str, columns: &str) {
        let terminal = self.terminal.try_clone().expect("duplicated");
        let resized = Command::new("stty")
            .args(["rows", lines, "cols", columns])
            .stdin(terminal)
            .status();
        assert!(resized.expect("stty").success());
    }

    /// The lines of the next frame, from the top left corner to the end of what is cleared.
    fn frame(&mut self) -> Vec<String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let end = self.unread.windows(END.len()).position(|bytes| bytes == END);
            if let Some(end) = end {
                let frame: Vec<u8> = self.unread.drain(..end + END.len()).collect();
                let frame = std::str::from_utf8(&frame[..end]).expect("text");
                let frame = frame.strip_prefix("\x1b[H").expect("it begins in the corner");
                let cleared = |line: &str| line.strip_prefix("\x1b[K").expect("cleared").to_owned();
                return frame.lines().map(cleared).collect();
            }
            assert!(Instant::now() < deadline, "no frame: {:?}", self.unread);
            let mut buffer = [0; 4096];
            let length = self.terminal.read(&mut buffer).expect("it draws");
            self.unread.extend(&buffer[..length]);
        }
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        let _gone = self.program.kill();
        let _reaped = self.program.wait();
    }
}

#[test]
fn a_frame_fits_into_the_terminal_and_follows_its_size() {
    let cluster = Plan::shop().replace("workers = 2", "workers = 4").start();
    let mut top = Top::start(&cluster, 8, 50);
    let frame = top.frame();
    assert!(
        frame.len() < 8 && frame.iter().all(|line| line.chars().count() <= 50),
        "{frame:#?}"
    );
    assert!(frame[0].ends_with('…'), "{frame:#?}");
    assert!(frame[3].starts_with("SLOT  STATE    "), "{frame:#?}");
    assert!(
        frame[3].contains("  CONN") && !frame[3].contains("WEIGHT"),
        "{frame:#?}"
    );
    assert!(frame[4].starts_with("0     serving"), "{frame:#?}");
    assert_eq!(frame.last().expect("lines"), "not shown: 2 workers");
    top.resize("40", "200");
    let deadline = Instant::now() + TIMEOUT;
    let frame = loop {
        let frame = top.frame();
        if frame.iter().any(|line| line.contains("WEIGHT")) {
            break frame;
        }
        assert!(Instant::now() < deadline, "{frame:#?}");
    };
    assert_eq!(frame.len(), 3 + 1 + 5, "{frame:#?}");
    assert!(frame[8].starts_with("3     serving"), "{frame:#?}");
}
