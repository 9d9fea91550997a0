//! Programs that are wrong: one clear line each, and nobody else is hurt.

use crate::common::Cli;
use crate::harness::{address, get, part};

pub(crate) fn not_started() {
    for (command, expected) in [
        (
            &["no-such-program-at-all"][..],
            "there is no program \"no-such-program-at-all\" in PATH",
        ),
        (&["./missing"], "there is no program /"),
        (&["./folder"], "is a directory, expected a program"),
        (&["./plain"], "is not executable"),
        (&["./text"], "is no program of this machine"),
        (&["./script"], "the interpreter \"/no/such/interpreter\""),
    ] {
        let plan = crate::common::Plan::run(command);
        let directory = plan.directory().to_owned();
        std::fs::write(directory.join("plain"), "text").expect("written");
        executable(&directory.join("text"), "text");
        executable(&directory.join("script"), "#!/no/such/interpreter\n");
        std::fs::create_dir(directory.join("folder")).expect("made");
        let mut cluster = plan
            .arguments(&["--directory", directory.to_str().expect("text")])
            .launch();
        cluster.wait_for(expected);
        let status = cluster.wait();
        assert_eq!(status.code(), Some(78), "{command:?}");
    }
}

pub(crate) fn exits_at_once() {
    let mut cluster = part("exits").launch();
    cluster.wait_for(
        "the program has ended before it was ready, with exit code 3; its last words: no configuration at all",
    );
    assert!(!cluster.wait().success());
}

pub(crate) fn backed_out() {
    let program = std::env::current_exe().expect("a path");
    let good = format!("#!/bin/sh\nexec {} server\n", program.display());
    let plan = crate::common::Plan::run(&["./start"]);
    let directory = plan.directory().to_owned();
    executable(&directory.join("start"), &good);
    let directory_flag = directory.to_str().expect("text").to_owned();
    let cluster = plan
        .arguments(&["--bind", "127.0.0.1:0", "--directory", &directory_flag])
        .start();
    let at = address(&cluster);
    executable(
        &directory.join("start"),
        "#!/bin/sh\necho out of luck >&2\nexit 4\n",
    );
    let result = cluster.run(&["reload"]);
    assert_eq!(result.code, 5, "{result:?}");
    assert!(result.stdout.contains("out of luck"), "{result:?}");
    let after = get(at, "/").expect("the program from before still answers");
    assert!(after.ends_with("/1\n"), "another life answers: {after}");
}

/// A file that can be executed, and never half of it.
fn executable(path: &std::path::Path, text: &str) {
    crate::common::put_bytes(text.as_bytes(), path);
}

pub(crate) fn flood() {
    let cluster = part("floods")
        .arguments(&["--workers", "1"])
        .with("[cluster]", "ready_timeout = \"60s\"")
        .start();
    cluster.wait_for("the flood is over");
    assert!(get(address(&cluster), "/").is_ok());
}

pub(crate) fn environment() {
    let cluster = part("server")
        .environment("LISTEN_FDNAMES", "foreign")
        .environment("WATCHDOG_PID", "1")
        .environment("CLUSTER_SECRET", "of the master")
        .arguments(&["--env", "COLOUR=blue", "--admin", "127.0.0.1:0"])
        .start();
    let at = address(&cluster);
    let variables = get(at, "/environment").expect("an answer");
    let names: Vec<&str> = variables
        .lines()
        .filter_map(|line| line.split('=').next())
        .filter(|name| {
            ["CLUSTER_", "WATCHDOG", "NODE_CHANNEL", "NODE_UNIQUE"]
                .iter()
                .any(|own| name.starts_with(own))
        })
        .collect();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "CLUSTER_DATA_DIR",
            "CLUSTER_GENERATION",
            "CLUSTER_LIFE",
            "CLUSTER_SLOT",
            "WATCHDOG_USEC"
        ]
    );
    assert!(variables.contains("COLOUR=blue\n"), "{variables}");
    // The listener is 3; its own pair for signals, this connection and the directory that is read follow.
    let descriptors = get(at, "/descriptors").expect("an answer");
    assert_eq!(descriptors.lines().count(), 8, "{descriptors}");
    let sockets = descriptors
        .lines()
        .filter(|line| line.contains("socket:"))
        .count();
    assert_eq!(sockets, 4, "{descriptors}");
}
