//! Other processes that want all the CPU there is. Nobody may be killed for that.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::Kind;
use crate::stage::{Effort, Scene};
use crate::verdict::Verdict;

/// Processes that spin until they are dropped.
struct Hogs(Vec<Child>);

impl Hogs {
    fn start(many: usize) -> Hogs {
        let hog = || {
            Command::new("/bin/sh")
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()
                .expect("a shell")
        };
        Hogs((0..many).map(|_| hog()).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            // One that is gone needs no kill.
            let _gone = hog.kill();
            let _gone = hog.wait();
        }
    }
}

/// Twice as many hogs as there are CPUs, each with as much right to them as a worker.
pub(crate) fn saturated(effort: &Effort, lasting: Duration) -> Verdict {
    let effort = Effort {
        rate: effort.rate / 4,
        // Who holds a store lock has less time than others, and must not starve with it.
        one_order_in: 4,
        ..effort.clone()
    };
    let scene = Scene::open(&effort, Kind::KeepAlive);
    let cpus = std::thread::available_parallelism().map_or(2, usize::from);
    let mark = scene.cluster.mark();
    let hogs = Hogs::start(cpus * 2);
    std::thread::sleep(lasting);
    drop(hogs);
    let kills = scene.cluster.count_from(mark, "killing worker");
    let lates = scene.cluster.count_from(mark, "worker late");
    let seconds = lasting.as_secs();
    let mut verdict = scene.close(&format!("{} hogs on {cpus} CPUs for {seconds} s", cpus * 2));
    verdict.expect(kills == 0, format!("{kills} kills, {lates} times late"));
    verdict
}
