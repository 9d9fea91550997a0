//! `kill -9` under load. Only requests on connections that the victim had accepted may fail, none that waited
//! in its queue.
//!
//! What it had accepted is told by the kernel: the victim is stopped, its sockets are looked at, and then it
//! is killed, which no client can tell from a bare kill. Meanwhile its queue fills, so that there is
//! something to lose.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Kind;
use crate::stage::{Effort, Scene};
use crate::verdict::Verdict;

/// As long the victim stands still before it dies: less than a beat, so that nobody has noticed.
const STILL: Duration = Duration::from_millis(20);

pub(crate) fn kills(effort: &Effort, kind: Kind) -> Verdict {
    let mut scene = Scene::open(effort, kind);
    for number in 0..effort.kills {
        let slot = u16::from(number % 2 == 1);
        let victim = scene.cluster.worker(slot);
        scene.freeze(victim);
        std::thread::sleep(STILL);
        kill(Pid::from_raw(victim), Signal::SIGKILL).expect("the victim lives");
        scene.cluster.wait_for_workers("another worker", |workers| {
            workers
                .get(&slot)
                .is_some_and(|pids| !pids.contains(&victim) && !pids.is_empty())
        });
        scene.rest();
    }
    let had = scene.forgiven();
    let mut verdict = scene.close(&format!("kill -9 x {}", effort.kills));
    verdict.note(format!("the victims had {had} connections"));
    verdict
}
