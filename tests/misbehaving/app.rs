//! The misbehaving worker: an application whose slot 0 misbehaves in the way that `MISBEHAVIOUR` names, while
//! its siblings are honest.

use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cluster::scoreboard::layout;
use cluster::sys::notify;
use cluster::{App, Worker};

use crate::foreign;

/// Says READY=1 again and again, has another process speak for it, and says what is no text.
pub(crate) const TALKS: &str = "talks";
/// Writes counters that rise and fall, and names of routes and metrics that are none.
pub(crate) const COUNTS: &str = "counts";
/// Stamps a beat of the day after tomorrow, and hangs.
pub(crate) const STAMPS: &str = "stamps";
/// Is no program of this library, and does not want its lifeline.
pub(crate) const DEAF: &str = "deaf";
/// From its second generation on its own readiness says no.
pub(crate) const DENIES: &str = "denies";

/// What the process that speaks for another one is to say; it is this program, too.
const SPEAK: &str = "MISBEHAVIOUR_SPEAKS";

pub(crate) fn main() -> ExitCode {
    if way() == DEAF && std::env::var("CLUSTER_SLOT").is_ok_and(|slot| slot == "0") {
        return foreign::main();
    }
    if cluster::worker::is_asked_for() {
        BOARD.get_or_init(board);
    }
    App::new("misbehaving").boot(boot).run()
}

fn way() -> String {
    std::env::var("MISBEHAVIOUR").unwrap_or_default()
}

/// Whether this process is only a mouth.
pub(crate) fn speaks() -> bool {
    let Some(text) = std::env::var_os(SPEAK) else {
        return false;
    };
    say(text.to_str().expect("text"));
    true
}

async fn boot(worker: Worker) -> Result<Router, cluster::worker::BootError> {
    let way = way();
    let identity = worker.identity();
    if way == DENIES && identity.generation.0 > 1 {
        worker.readiness(|| std::future::ready(Err("the cache is cold".to_owned())));
    }
    if identity.life.slot.0 == 0 && identity.life.epoch.0 == 1 {
        match way.as_str() {
            TALKS => talk(),
            COUNTS => drop(std::thread::spawn(count)),
            STAMPS => drop(tokio::spawn(stamp_and_hang())),
            _ => {}
        }
    }
    let life = identity.life.to_string();
    Ok(Router::new().route("/", get(async move || life.clone())))
}

fn say(text: &str) {
    let address = std::env::var_os("NOTIFY_SOCKET").expect("a worker has one");
    notify::send(&address, text).expect("it is taken");
}

fn talk() {
    for _ in 0..3 {
        say("READY=1\nSTATUS=\x1b[2Jready");
    }
    say(&"x".repeat(notify::MAX_DATAGRAM + 1));
    let spoken = Command::new("/proc/self/exe")
        .env(SPEAK, "READY=1\nSTOPPING=1")
        .env_remove("CLUSTER_WORKER")
        .status();
    assert!(spoken.expect("it runs").success());
}

/// The descriptor that the environment names; the library has it by now.
pub(crate) fn descriptor(name: &str) -> RawFd {
    let number = std::env::var(name).expect("a worker is told");
    number.parse().expect("a number")
}

/// The scoreboard as a file, past the library, which closes its own once it is mapped.
static BOARD: OnceLock<File> = OnceLock::new();

fn board() -> File {
    let path = format!("/proc/self/fd/{}", descriptor("CLUSTER_SCOREBOARD_FD"));
    File::options().write(true).open(path).expect("it is open")
}

fn write(word: usize, value: u64) {
    let board = BOARD.get().expect("it was opened first of all");
    let at = u64::try_from(word * 8).expect("small");
    board.write_all_at(&value.to_ne_bytes(), at).expect("written");
}

/// Up, down, beyond every bound, and to nothing; beats and locks are left alone.
fn count() {
    let counters = layout::COUNTERS_AT..layout::COUNTERS_AT + layout::COUNTERS;
    let words = layout::REQUESTS_AT..layout::ROUTES_AT + layout::ROUTES * layout::route::WORDS;
    for round in (0_u64..).map(|round| round.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        for value in [1_000, 5, u64::MAX, 0, round] {
            for word in counters.clone().chain(words.clone()) {
                write(word, value ^ (word as u64 & 3));
            }
        }
    }
}

async fn stamp_and_hang() {
    // After the library's own first beat, or that would be the last word.
    tokio::time::sleep(Duration::from_millis(700)).await;
    write(layout::CELLS_AT + layout::cell::BEAT_AT, u64::MAX / 2);
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
