//! A wall clock that is set while the cluster serves. Nobody may be killed for it, or only be taken for late.

use std::time::{Duration, Instant};

use crate::client::Kind;
use crate::stage::{Effort, Scene};
use crate::verdict::Verdict;

/// The wall clock goes a day ahead, two back and so on, for master and workers alike (`libfaketime`, which is
/// told by a file). `None`: there is no libfaketime here.
pub(crate) fn steps(effort: &Effort) -> Option<Verdict> {
    let library = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib64/faketime/libfaketime.so.1",
    ]
    .into_iter()
    .find(|path| std::path::Path::new(path).exists())?;
    let plan = effort.plan();
    let clock = plan.directory().join("clock");
    std::fs::write(&clock, "+0").expect("written");
    let plan = plan
        .environment("LD_PRELOAD", library)
        .environment("FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("UTF-8"))
        .environment("FAKETIME_NO_CACHE", "1")
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let scene = Scene::with(effort, Kind::KeepAlive, plan);
    let (mark, began) = (scene.cluster.mark(), Instant::now());
    for offset in ["+1d", "-1d", "+3600", "-100d", "+0"] {
        std::fs::write(&clock, offset).expect("written");
        std::thread::sleep(Duration::from_secs(1));
        scene.done(&["reload"]);
    }
    let dates: std::collections::BTreeSet<String> = scene.cluster.log()[mark..]
        .iter()
        .filter_map(|line| Some(line["time"].as_str()?.get(..10)?.to_owned()))
        .collect();
    let kills = scene.cluster.count_from(mark, "killing worker");
    let lates = scene.cluster.count_from(mark, "worker late");
    let seconds = began.elapsed().as_secs();
    let mut verdict = scene.close("the wall clock steps by a day and back");
    verdict.expect(
        kills == 0 && lates == 0,
        format!("{kills} kills, {lates} times late in {seconds} s"),
    );
    verdict.expect(dates.len() > 3, format!("the log is dated {dates:?}"));
    Some(verdict)
}
