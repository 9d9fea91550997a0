//! Workers that do not answer: stopped for good, stopped for a moment, spinning. Who had been accepted by
//! such a worker waits for it; nobody else does.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Kind;
use crate::common::TIMEOUT;
use crate::stage::{Effort, Scene, thaw};
use crate::verdict::Verdict;
use crate::witness;

/// A worker is out of rotation after this, with default settings.
const UNROUTED: Duration = Duration::from_millis(500);
/// And the next one is there this long after the kill.
const BACK: Duration = Duration::from_millis(50);
/// As many connections are opened to see where they go. By the kernel's hash half of them would go to the
/// wrong one.
const OPENED: usize = 20;

/// A worker that happens to keep a store lock as it is stopped (its upkeep writes now and then) is another
/// story: again, then.
pub(crate) fn stopped(effort: &Effort, kind: Kind) -> Verdict {
    (0..5)
        .find_map(|_| stopped_without_a_lock(effort, kind))
        .expect("a worker seldom holds a lock")
}

fn stopped_without_a_lock(effort: &Effort, kind: Kind) -> Option<Verdict> {
    let mut scene = Scene::open(&without_orders(effort), kind);
    let (victim, sibling) = (scene.cluster.worker(1), scene.cluster.worker(0));
    let listeners = witness::listeners_of(victim, scene.address);
    let mark = scene.cluster.mark();
    scene.freeze(victim);
    let began = Instant::now();
    scene.cluster.wait_from(mark, "worker late");
    // The master says what it does right before it does it, and answers when it has done it.
    scene.done(&["status"]);
    let late = began.elapsed();
    let strays = strays(&scene, sibling, &listeners);
    let pidfd = cluster::sys::pidfd::open(victim).expect("it lives");
    assert!(
        cluster::sys::pidfd::exits_within(&pidfd, TIMEOUT),
        "it was not killed"
    );
    let killed = Instant::now();
    let kill = scene.cluster.wait_from(mark, "killing worker");
    if kill["message"]
        .as_str()
        .is_some_and(|why| why.contains("store lock"))
    {
        return None;
    }
    scene.cluster.wait_from(mark, "worker ready");
    let back = killed.elapsed();
    scene.rest();
    let (strict, timeout) = (scene.effort.strict, scene.effort.heartbeat_timeout);
    let mut verdict = scene.close("SIGSTOP of a worker");
    verdict.expect(
        !strict || late <= UNROUTED,
        format!("unrouted after {} ms (bar 500)", late.as_millis()),
    );
    verdict.expect(strays == 0, format!("{strays} connections went to it afterwards"));
    let waited = killed.duration_since(began);
    verdict.expect(
        waited >= timeout - slack(timeout),
        format!("killed after {:.1} s", waited.as_secs_f64()),
    );
    verdict.expect(
        !strict || back <= BACK,
        format!(
            "full strength {:.1} ms after the kill (bar 50)",
            back.as_secs_f64() * 1e3
        ),
    );
    Some(verdict)
}

/// A stopped worker that holds a store lock is killed much sooner, which is another story
/// (`tests/orders.rs`).
fn without_orders(effort: &Effort) -> Effort {
    Effort {
        one_order_in: 0,
        ..effort.clone()
    }
}

/// The beat that the time is counted from lies up to an interval before the stop.
fn slack(timeout: Duration) -> Duration {
    (timeout / 4).max(Duration::from_millis(300))
}

/// How many of some new connections the kernel puts into these queues. Everybody who could take them out
/// stands still meanwhile.
fn strays(scene: &Scene, sibling: i32, listeners: &BTreeSet<u32>) -> u32 {
    kill(Pid::from_raw(sibling), Signal::SIGSTOP).expect("the sibling lives");
    witness::wait_for_state(sibling, 'T');
    // Before the sibling adopted it the queue had filled.
    let before = in_queues(scene, listeners);
    let opened: Vec<_> = (0..OPENED).map(|_| TcpStream::connect(scene.address)).collect();
    let all: u32 = witness::queues(scene.address).into_values().sum();
    let after = in_queues(scene, listeners);
    thaw(sibling);
    assert!(opened.iter().all(Result::is_ok), "a connection was refused");
    assert!(all as usize >= OPENED, "where are they?");
    after - before
}

fn in_queues(scene: &Scene, listeners: &BTreeSet<u32>) -> u32 {
    let queues = witness::queues(scene.address).into_iter();
    queues
        .filter(|(inode, _)| listeners.contains(inode))
        .map(|(_, waiting)| waiting)
        .sum()
}

/// How long this test may get no CPU time before the worker that it has stopped is taken for hung.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn paused(effort: &Effort, kind: Kind) -> Verdict {
    let effort = Effort {
        heartbeat_timeout: if effort.strict {
            effort.heartbeat_timeout
        } else {
            PATIENCE
        },
        ..without_orders(effort)
    };
    let scene = Scene::open(&effort, kind);
    let worker = scene.cluster.worker(1);
    let mark = scene.cluster.mark();
    kill(Pid::from_raw(worker), Signal::SIGSTOP).expect("it lives");
    scene.cluster.wait_from(mark, "worker late");
    if effort.strict {
        std::thread::sleep(effort.heartbeat_timeout / 3);
    }
    thaw(worker);
    scene.cluster.wait_from(mark, "worker beats again");
    scene.rest();
    let (now, kills) = (
        scene.cluster.worker(1),
        scene.cluster.count_from(mark, "killing worker"),
    );
    let mut verdict = scene.close("SIGSTOP for a moment, then SIGCONT");
    verdict.expect(
        now == worker && kills == 0,
        format!("{kills} kills, in service again"),
    );
    verdict
}

pub(crate) fn spinning(effort: &Effort, kind: Kind) -> Verdict {
    let mut scene = Scene::open(effort, kind);
    let mark = scene.cluster.mark();
    let url = scene.cluster.url("/drill/spin?ms=600000");
    let spin = std::thread::spawn(move || crate::common::client().get(url).call().is_err());
    let line = scene.cluster.wait_from(mark, "worker late");
    let slot = line["life"]
        .as_str()
        .and_then(|life| life.split('/').nth(1)?.parse().ok());
    let victim = scene.cluster.worker(slot.expect("a slot"));
    scene.forgive(victim);
    let line = scene.cluster.wait_from(mark, "killing worker: hung");
    scene.cluster.wait_from(mark, "worker ready");
    assert!(spin.join().expect("joined"), "a handler that was killed answered");
    scene.rest();
    let mut verdict = scene.close("a spinning worker");
    let told = line["message"].as_str().unwrap_or_default().to_owned();
    verdict.expect(told.contains("spins"), told);
    verdict
}
