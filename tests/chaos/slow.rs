//! One slow worker of four: what its clients and everybody's wait is, with steering and with the kernel's
//! hash.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Kind;
use crate::stage::{Effort, Scene};
use crate::verdict::Verdict;

/// Of each 100 ms it runs 20: late, and never so late that it is out of rotation.
const STANDS: Duration = Duration::from_millis(80);
const RUNS: Duration = Duration::from_millis(20);

/// The p99 of all new connections' requests while one worker is slow, in milliseconds.
pub(crate) fn worker(effort: &Effort, how: &str, lasting: Duration) -> (Verdict, f64) {
    let effort = Effort {
        one_order_in: 0,
        ..effort.clone()
    };
    let plan = effort.plan().replace("workers = 2", "workers = 4");
    let scene = Scene::with(&effort, Kind::New, plan);
    let slow = Pid::from_raw(scene.cluster.worker(3));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                kill(slow, Signal::SIGSTOP).expect("it lives");
                std::thread::sleep(STANDS);
                kill(slow, Signal::SIGCONT).expect("it lives");
                std::thread::sleep(RUNS);
            }
        });
        std::thread::sleep(lasting);
        over.store(true, Relaxed);
    });
    let verdict = scene.close(&format!("one slow worker of 4, {how}"));
    let p99 = verdict.p99_ms.map_or(f64::NAN, |(_, during)| during);
    (verdict, p99)
}
