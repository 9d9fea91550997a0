//! Workers that take more memory than they may: replaced in time by `max_rss`, or killed by the kernel.

use std::path::{Path, PathBuf};

use crate::common::{Cli, Plan};
use crate::runner::Test;

pub(crate) const TESTS: &[Test] = &[(
    "a_worker_larger_than_max_rss_is_replaced_before_it_goes",
    a_worker_larger_than_max_rss_is_replaced_before_it_goes,
)];

pub(crate) const ROOTS: &[(Test, &str)] = &[(
    (
        "a_worker_that_the_kernel_kills_for_memory_is_told_with_limit_and_size",
        a_worker_that_the_kernel_kills_for_memory_is_told_with_limit_and_size,
    ),
    "root, to limit the memory of a group",
)];

fn a_worker_larger_than_max_rss_is_replaced_before_it_goes() {
    let cluster = Plan::shop()
        .replace("workers = 2", "workers = 1")
        .with("[cluster]", "max_rss = \"128MiB\"")
        .start();
    let mark = cluster.mark();
    let large = cluster.worker(0);
    assert_eq!(cluster.get("/drill/allocate?mib=160").status, 200);
    cluster.wait_from(mark, "it is larger than max_rss");
    cluster.wait_from(mark, "worker gone after");
    let lines = cluster.log();
    let place = |words: &str| {
        let says =
            |line: &serde_json::Value| line["message"].as_str().is_some_and(|said| said.contains(words));
        mark + lines[mark..].iter().position(says).expect("it was said")
    };
    assert!(
        place("worker ready") < place("worker draining"),
        "nobody served meanwhile"
    );
    assert_ne!(cluster.worker(0), large);
    let why = cluster.run_json(&["why", "0"]);
    let death = &why["deaths"][0];
    assert_eq!(death["kind"], "recycle", "{death}");
    assert!(death["cause"].to_string().contains("max_rss"), "{death}");
    assert!(cluster.stop().success());
}

/// A control group of its own with that much memory, removed with it.
struct Group(PathBuf);

impl Group {
    /// `None`, loudly, where this machine lets nobody make one.
    fn with(mib: u64) -> Option<Group> {
        let name = format!("cluster-test-{}", std::process::id());
        let places = [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ];
        for (root, limit) in places {
            let dir = Path::new(root).join(&name);
            let group = std::fs::create_dir(&dir).map(|()| Group(dir));
            let limits = |group: &Group| {
                // Where groups of version 1 are mounted their root is a directory like any other.
                let file = group.0.join(limit);
                file.exists() && std::fs::write(file, (mib << 20).to_string()).is_ok()
            };
            if let Some(group) = group.ok().filter(limits) {
                return Some(group);
            }
        }
        eprintln!("SKIPPED: no memory group can be made on this machine, and no kill for memory was seen");
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn a_worker_that_the_kernel_kills_for_memory_is_told_with_limit_and_size() {
    const LIMIT_MIB: u64 = 192;
    let Some(group) = Group::with(LIMIT_MIB) else {
        return;
    };
    let plan = Plan::shop().replace("workers = 2", "workers = 1");
    let program = plan.directory().join("in-a-group");
    let script = format!(
        "#!/bin/sh\necho $$ > {}/cgroup.procs && exec {} \"$@\"\n",
        group.0.display(),
        env!("CARGO_BIN_EXE_cluster")
    );
    crate::common::put_bytes(script.as_bytes(), &program);
    let cluster = plan.program(&program).start();
    let mark = cluster.mark();
    let url = cluster.url("/drill/allocate?mib=512");
    let answer = crate::common::client().get(url).call();
    assert!(answer.is_err(), "the kernel let it be");
    cluster.wait_from(mark, "worker ready");
    let why = cluster.run_json(&["why", "0"]);
    let death = &why["deaths"][0];
    assert_eq!(death["kind"], "out_of_memory", "{death}");
    assert_eq!(death["memory"]["limit_bytes"], LIMIT_MIB << 20, "{death}");
    // Pages of its program are charged to whoever read them first.
    let peak = death["memory"]["peak_rss_bytes"].as_u64().expect("a size");
    assert!(
        (LIMIT_MIB / 2) << 20 < peak && peak < (LIMIT_MIB * 2) << 20,
        "{death}"
    );
    let text = cluster.run(&["why", "0"]).stdout;
    assert!(text.contains("192"), "{text}");
    assert!(cluster.stop().success());
    drop(group);
}
