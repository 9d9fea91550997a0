//! What a cluster is after many reloads: what it was before.

use std::fs;
use std::time::{Duration, Instant};

use crate::stage::{Effort, ask};
use crate::verdict::Verdict;

/// What a master has.
#[derive(Debug)]
struct Holdings {
    descriptors: usize,
    /// Proportional set size.
    pss_kib: u64,
    /// The part of it that no file stands behind: what a program allocates. The rest is code that was looked
    /// at, and how many others look at it.
    own_kib: u64,
    children: usize,
}

impl Holdings {
    fn of(pid: i32) -> Holdings {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it lives");
        let rollup = read("smaps_rollup");
        let size = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.expect("a size")
        };
        Holdings {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count(),
            pss_kib: size("Pss:"),
            own_kib: size("Pss_Anon:"),
            children: read(&format!("task/{pid}/children"))
                .split_ascii_whitespace()
                .count(),
        }
    }
}

/// At rest: a client of the control socket is let go of a moment after it has its answer.
const REST: Duration = Duration::from_millis(500);

fn at_rest(pid: i32) -> Holdings {
    let until = Instant::now() + REST;
    let mut least = Holdings::of(pid);
    while Instant::now() < until {
        std::thread::sleep(REST / 20);
        let now = Holdings::of(pid);
        least = if now.descriptors <= least.descriptors {
            now
        } else {
            least
        };
    }
    least
}

/// The allocator keeps what it may need again; beyond this a reload leaks.
const MARGIN_KIB: u64 = 512;

/// Reloads without load. The first few are not counted: they load what every later one uses again.
pub(crate) fn reloads(effort: &Effort, times: usize) -> Verdict {
    let effort = Effort {
        bake_time: "0s",
        ..effort.clone()
    };
    let cluster = effort.plan().start();
    let reload = || {
        let mark = cluster.mark();
        let (code, said) = ask(&cluster.data(), &["reload"]);
        assert_eq!(code, 0, "{said}");
        cluster.wait_for_many(mark, "worker gone", 2);
    };
    (0..10.min(times)).for_each(|_| reload());
    let before = at_rest(cluster.pid());
    (0..times).for_each(|_| reload());
    let after = at_rest(cluster.pid());
    let mut verdict = Verdict::bare(&format!("the master after {times} reloads"));
    verdict.expect(
        before.descriptors == after.descriptors,
        format!("descriptors {} -> {}", before.descriptors, after.descriptors),
    );
    verdict.expect(
        before.children == after.children,
        format!("processes {} -> {}", before.children, after.children),
    );
    verdict.expect(
        after.own_kib <= before.own_kib + MARGIN_KIB,
        format!(
            "PSS {} -> {} KiB, its own part {} -> {} (may grow by {MARGIN_KIB})",
            before.pss_kib, after.pss_kib, before.own_kib, after.own_kib
        ),
    );
    assert!(cluster.stop().success(), "the cluster did not stop well");
    verdict
}
