//! The parts that this program plays under `cluster run`: small servers as people write them, and bad ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// Plays the part that the command line names; `None` when it names none.
pub(crate) fn play() -> Option<ExitCode> {
    std::env::var_os("CLUSTER_LIFE")?;
    let part = std::env::args().nth(1)?;
    println!("playing {part} with pid {}", std::process::id());
    match part.as_str() {
        "server" => serve(&inherited()),
        "says-ready" => {
            notify("STATUS=warm\nREADY=1");
            serve(&inherited())
        }
        "own-port" => serve(&TcpListener::bind(("127.0.0.1", own_port())).expect("a port")),
        "exits" => {
            eprintln!("no configuration at all");
            return Some(ExitCode::from(3));
        }
        "never-ready" => std::thread::sleep(LONG),
        "ignores" => {
            let heard = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(nix::libc::SIGTERM, heard).expect("registered");
            let listener = inherited();
            loop {
                if let Ok((stream, _)) = listener.accept() {
                    answer(&stream);
                }
            }
        }
        "leaves" => {
            leave_behind(false);
            leave_behind(true);
            serve(&inherited());
        }
        "wraps" => wrap(),
        "slow-end" => slow_end(),
        "floods" => flood(),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

fn inherited() -> TcpListener {
    assert_eq!(
        std::env::var("LISTEN_PID").expect("set"),
        std::process::id().to_string(),
        "the descriptors are meant for another process"
    );
    cluster::sys::inherit::take(3).expect("a listener").into()
}

fn own_port() -> u16 {
    std::env::var("OWN_PORT").expect("set").parse().expect("a port")
}

fn notify(text: &str) {
    let name = std::env::var_os("NOTIFY_SOCKET").expect("set");
    cluster::sys::notify::send(&name, text).expect("sent");
}

/// Answers each request on a connection of its own. After SIGTERM it accepts no more, finishes what it has
/// accepted, and ends.
fn serve(listener: &TcpListener) {
    let (mut end, sender) = UnixStream::pair().expect("a pair");
    signal_hook::low_level::pipe::register(nix::libc::SIGTERM, sender).expect("registered");
    let mut answering = Vec::new();
    loop {
        let mut fds = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(end.as_fd(), PollFlags::POLLIN),
        ];
        let polled = poll(&mut fds, PollTimeout::NONE);
        let [connects, ends] = fds.map(|fd| fd.any().unwrap_or(false));
        if polled.is_ok() && ends {
            break;
        }
        if polled.is_ok()
            && connects
            && let Ok((stream, _)) = listener.accept()
        {
            answering.push(std::thread::spawn(move || answer(&stream)));
        }
    }
    for thread in answering {
        thread.join().expect("answered");
    }
    end.read_exact(&mut [0]).expect("a signal");
}

/// Answers one request.
fn answer(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if !reader.read_line(&mut first).is_ok_and(|length| length > 0) {
        return;
    }
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let body = match first.split(' ').nth(1) {
        Some("/environment") => std::env::vars_os()
            .map(|(name, value)| format!("{}={}\n", name.display(), value.display()))
            .collect(),
        Some("/descriptors") => descriptors(),
        _ => format!(
            "{} {}\n",
            std::process::id(),
            std::env::var("CLUSTER_LIFE").expect("set")
        ),
    };
    let status = std::env::var("ANSWER").unwrap_or_else(|_| "200 OK".to_owned());
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    let _gone = stream.write_all((head + &body).as_bytes());
}

fn descriptors() -> String {
    let entries = std::fs::read_dir("/proc/self/fd").expect("readable").flatten();
    entries
        .filter_map(|entry| {
            let to = std::fs::read_link(entry.path()).ok()?;
            Some(format!("{} {}\n", entry.file_name().display(), to.display()))
        })
        .collect()
}

/// A grandchild that outlives its parent and holds the listener, in this session or in one of its own.
#[expect(clippy::zombie_processes, reason = "to be left behind is what it is for")]
fn leave_behind(in_own_session: bool) {
    let words: &[&str] = match in_own_session {
        true => &["setsid", "sleep", "3600"],
        false => &["sleep", "3600"],
    };
    let mut command = Command::new(words[0]);
    let child = command
        .args(&words[1..])
        .stdin(Stdio::null())
        .spawn()
        .expect("started");
    println!("left behind {}", child.id());
}

/// A wrapper that does not wait for the program and dies of SIGTERM at once.
#[expect(clippy::zombie_processes, reason = "it does not wait, as bad wrappers do")]
fn wrap() {
    let program = std::env::current_exe().expect("a path");
    let child = Command::new(program).arg("slow-end").spawn().expect("started");
    println!("wrapped {}", child.id());
    std::thread::sleep(LONG);
}

/// A program that takes a moment to finish after SIGTERM, and says that it did.
fn slow_end() {
    let (read, write) = UnixStream::pair().expect("a pair");
    signal_hook::low_level::pipe::register(nix::libc::SIGTERM, write).expect("registered");
    notify("READY=1");
    let mut byte = [0];
    (&read).read_exact(&mut byte).expect("a signal");
    std::thread::sleep(Duration::from_millis(300));
    println!("finished what was begun");
}

fn flood() {
    let block = vec![b'x'; 1 << 20];
    let mut stdout = std::io::stdout().lock();
    for _ in 0..100 {
        stdout.write_all(&block).expect("written");
    }
    eprintln!("the flood is over");
    serve(&inherited());
}
