//! Waits until a program is ready: until it says so, or shows it. It must not know who is told.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::evidence::{self, Evidence};
use super::facts::{ProgramFacts, ProgramListeners, UsedMode};
use super::probe::{probe, probed_address, probed_at};
use super::words::WITHOUT_PRELOAD;
use crate::base::time::span;
use crate::config::{HttpPath, ReadyRule};

/// The kernel tells nobody when a process adds a listener to an epoll set or begins to listen, so `/proc` is
/// looked at again and again: after this, then after twice as long, up to [`LONGEST_PAUSE`]. A program that
/// starts fast is ready soon, and one that takes long costs ten looks a second.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// For so long a Node program has listened by itself that is ready thereby. One that loads its code may
/// listen for a moment, to find a port that is free.
const BY_ITSELF: Duration = Duration::from_secs(1);
/// How long one question waits for its answer: a program may do much at the first request.
const ANSWER: Duration = Duration::from_secs(5);

/// What a program says of itself while it starts.
#[derive(Clone, Debug)]
pub struct ReadySignals {
    /// Whether it has said `READY=1`.
    pub notified: watch::Receiver<bool>,
    /// Whether Node has said that it listens.
    pub listening: watch::Receiver<bool>,
    /// Where is noted why it did not answer as it should, when it was last asked.
    pub failure: watch::Sender<Option<String>>,
}

/// Returns when the program is ready by this rule, with how that is known. `logged` ends when the program has
/// written a line that matches the pattern of [`ReadyRule::Log`]; other rules do not wait for it.
pub async fn wait_until_ready(
    rule: &ReadyRule,
    program: &ProgramFacts,
    mut signals: ReadySignals,
    logged: impl Future<Output = ()>,
) -> String {
    match rule {
        ReadyRule::Auto => until_shown(program, &mut signals).await,
        ReadyRule::Notify => {
            until_true(&mut signals.notified).await;
            "it says READY=1".to_owned()
        }
        ReadyRule::Tcp => until_it_takes_connections(program).await,
        ReadyRule::Http(path) => until_answered(program, path, &signals.failure).await,
        ReadyRule::Log(pattern) => {
            logged.await;
            format!("a line of its output matches {pattern}")
        }
        ReadyRule::Delay(delay) => {
            sleep(*delay).await;
            format!("{} have passed since it was started", span(*delay))
        }
    }
}

/// A Node program says when it listens, and until then it may only have loaded its code. Some of its servers
/// never ask the cluster, and show themselves to the kernel alone.
async fn until_shown(program: &ProgramFacts, signals: &mut ReadySignals) -> String {
    let ReadySignals {
        notified, listening, ..
    } = signals;
    let shown = async {
        match program.mode {
            UsedMode::Fds | UsedMode::Reuseport => until_it_takes_connections(program).await,
            UsedMode::Node => until_it_listens_by_itself(program).await,
        }
    };
    tokio::select! {
        biased;
        () = until_true(notified) => "it says READY=1".to_owned(),
        () = until_true(listening) => "Node says that it listens".to_owned(),
        how = shown => how,
    }
}

/// Waits for ever when the sender is gone: the program can no longer say it.
async fn until_true(signal: &mut watch::Receiver<bool>) {
    if signal.wait_for(|said| *said).await.is_err() {
        std::future::pending().await
    }
}

async fn until_it_takes_connections(program: &ProgramFacts) -> String {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(how) = takes_connections(program) {
            return how;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn takes_connections(program: &ProgramFacts) -> Option<String> {
    let ours = program.listeners.inodes();
    if program.mode == UsedMode::Reuseport {
        let own = evidence::listens_by_itself(program.pid, &ours);
        return (!own.is_empty()).then(|| format!("it listens on {}", list(&own)));
    }
    let accepts = evidence::accepts_from(program.pid, &ours) == Evidence::Shown;
    accepts.then(|| "it accepts from its listener".to_owned())
}

/// Waits until the program has listened for [`BY_ITSELF`] on an address that it was not given.
async fn until_it_listens_by_itself(program: &ProgramFacts) -> String {
    let mut before: Vec<SocketAddr> = Vec::new();
    loop {
        sleep(BY_ITSELF).await;
        let own = evidence::listens_by_itself(program.pid, &program.listeners.inodes());
        let stays: Vec<SocketAddr> = own.iter().copied().filter(|one| before.contains(one)).collect();
        if !stays.is_empty() && !evidence::is_inspected(program.pid) {
            return format!("it listens on {} by itself", list(&stays));
        }
        before = own;
    }
}

async fn until_answered(
    program: &ProgramFacts,
    path: &HttpPath,
    failure: &watch::Sender<Option<String>>,
) -> String {
    let mut pause = FIRST_PAUSE;
    // A question that was not answered in time is followed by the next at once.
    loop {
        let asked = Instant::now();
        match probe(program, path, ANSWER).await {
            Ok(status) => {
                let (status, asked) = (status.as_u16(), asked_for(program, path));
                return format!("it answers {status} to {asked}");
            }
            Err(reason) => drop(failure.send_replace(Some(reason.to_string()))),
        }
        sleep_until(asked + pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What is asked of the program, and where.
fn asked_for(program: &ProgramFacts, path: &HttpPath) -> String {
    let address = probed_address(program).map_or_else(|_| String::new(), |address| format!(" at {address}"));
    format!("GET {}{address}", path.as_str())
}

/// What to say of a program that was given listeners and listens by itself; `None` when it does not. To be
/// asked when the program is ready or `ready_timeout` comes near. `speaks`: a Node program has spoken on its
/// channel.
#[must_use]
pub fn told_if_it_listens_by_itself(program: &ProgramFacts, speaks: bool) -> Option<String> {
    if program.mode == UsedMode::Reuseport || evidence::is_inspected(program.pid) {
        return None;
    }
    let own = evidence::listens_by_itself(program.pid, &program.listeners.inodes());
    let advice = match program.mode {
        UsedMode::Node if !speaks => WITHOUT_PRELOAD,
        UsedMode::Node => {
            "servers in worker threads, and add-ons that bind by themselves, do not ask the cluster for \
             their address; have them set SO_REUSEPORT, without which there can be one worker and no reload"
        }
        UsedMode::Fds | UsedMode::Reuseport => {
            "have it take the listener that it is given (descriptor 3, LISTEN_FDS), or, if it binds with \
             SO_REUSEPORT, start it with --listen reuseport"
        }
    };
    (!own.is_empty()).then(|| {
        format!(
            "the program listens by itself on {}; the connections that come there are not the cluster's, and \
             a second worker finds the address in use: {advice}",
            list(&own)
        )
    })
}

/// Why a program that was just started can never become ready by this rule; `None` when it can.
#[must_use]
pub fn never_ready(rule: &ReadyRule, mode: UsedMode, listeners: &ProgramListeners) -> Option<String> {
    match rule {
        // Node asks for its listeners while it starts.
        ReadyRule::Http(_) if mode != UsedMode::Node => probed_at(mode, listeners)
            .err()
            .map(|reason| format!("run.ready is \"{rule}\", and nobody can ask the program: {reason}")),
        _ => None,
    }
}

/// What is known of a program that is not ready although its time is nearly over. `failure` is why it did not
/// answer when it was last asked, `line` the last that it has printed.
#[must_use]
pub fn seen_so_far(
    rule: &ReadyRule,
    program: &ProgramFacts,
    failure: Option<String>,
    line: Option<String>,
) -> String {
    let seen = match rule {
        ReadyRule::Auto | ReadyRule::Tcp => format!(
            "{}; one that takes no connections is made ready by --ready delay:1s",
            not_taking(program)
        ),
        ReadyRule::Notify if program.mode == UsedMode::Node => {
            "it has said neither process.send('ready') nor READY=1".to_owned()
        }
        ReadyRule::Notify => "it has not said READY=1 to NOTIFY_SOCKET".to_owned(),
        ReadyRule::Http(path) => format!(
            "it has not answered {} with a status below 400, the last time because {}",
            asked_for(program, path),
            failure.as_deref().unwrap_or("the first answer is not there yet")
        ),
        ReadyRule::Log(_) => match line {
            Some(line) => format!("no line that it has printed matches, the last one is: {line}"),
            None => "it has printed nothing".to_owned(),
        },
        ReadyRule::Delay(delay) => format!("it has not run for {} yet", span(*delay)),
    };
    format!("run.ready is \"{rule}\", and {seen}")
}

/// Why a program is not ready that has to take connections.
fn not_taking(program: &ProgramFacts) -> String {
    let listeners = program.listeners.inodes();
    match program.mode {
        UsedMode::Node if listeners.is_empty() => "Node has asked for no listener".to_owned(),
        UsedMode::Reuseport => "it listens on no TCP address".to_owned(),
        UsedMode::Fds | UsedMode::Node => match evidence::accepts_from(program.pid, &listeners) {
            Evidence::Unknown => "the kernel does not show whether it waits for connections".to_owned(),
            Evidence::Shown | Evidence::NotShown => {
                "no thread of it waits for a connection of its listener".to_owned()
            }
        },
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
