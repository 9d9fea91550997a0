//! What the workers' user cannot do to a worker and to the master, and what workers are not told.

use std::process::{Command, Stdio};

use super::{is_root, plan, variable};
use crate::common::{Cli, Cluster, Plan, replaceable};

/// A shell script as the user of the workers, with `$1` and so on; whether it succeeded.
fn as_user(script: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new("/bin/sh");
    std::os::unix::process::CommandExt::gid(&mut command, 65_534);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    command
        .args(["-c", script, "sh"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().expect("a shell").success()
}

/// A process of the workers' user that has nothing to hide. It is killed when it is dropped.
struct PlainProcess(std::process::Child);

impl PlainProcess {
    fn start() -> PlainProcess {
        let mut command = Command::new("sleep");
        std::os::unix::process::CommandExt::gid(&mut command, 65_534);
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        command
            .arg("600")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        PlainProcess(command.spawn().expect("sleep runs"))
    }
}

impl Drop for PlainProcess {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What a debugger does first, with Linux's number for ptrace on this machine and its PTRACE_ATTACH.
fn attach() -> String {
    let number = nix::libc::SYS_ptrace;
    format!("perl -e 'exit(syscall({number}, 16, int($ARGV[0]), 0, 0) == 0 ? 0 : 1)' \"$1\"")
}

#[test]
fn no_process_of_the_workers_user_reads_a_worker_or_debugs_it() {
    if !is_root() {
        return;
    }
    let cluster = plan().start();
    let worker = cluster.worker(0).to_string();
    let plain = PlainProcess::start();
    let plain_pid = plain.0.id().to_string();
    for (what, script) in [
        ("its environment", "cat /proc/$1/environ"),
        ("its descriptors", "ls /proc/$1/fd/"),
        ("its memory", "exec 3</proc/$1/mem"),
        ("its system calls", "cat /proc/$1/syscall"),
        ("a debugger", &attach()),
    ] {
        if as_user(script, &[&plain_pid]) {
            assert!(!as_user(script, &[&worker]), "{what} is open to its user");
        } else {
            // Yama, a container, or no perl: nothing was shown then.
            eprintln!("SKIPPED: {what}, which this machine denies for any process");
        }
    }
    assert!(
        as_user("cat /proc/$1/environ", &[&plain_pid]),
        "this machine shows nothing of any process"
    );
    drop(plain);
    assert!(cluster.stop().success());
}

#[test]
fn the_workers_user_commands_neither_the_master_nor_its_files() {
    if !is_root() {
        return;
    }
    let (cluster, program) = replaceable(plan());
    let (program, data) = (program.to_str().expect("text"), cluster.data());
    let (data, master) = (data.to_str().expect("text"), cluster.pid().to_string());
    assert!(
        as_user("\"$1\" --version", &[program]),
        "the user can run the program"
    );
    assert!(!as_user("\"$1\" status --data-dir \"$2\"", &[program, data]));
    assert!(!as_user("kill -0 $1", &[&master]), "the master can be signalled");
    assert!(!as_user("exec 3</proc/$1/mem", &[&master]));
    for file in ["incarnation", "master.lock", "run"] {
        let path = format!("{data}/{file}");
        assert!(
            !as_user("mv \"$1\" \"$1.gone\"", &[&path]),
            "{file} can be renamed"
        );
        assert!(!as_user("test -w \"$1\"", &[&path]), "{file} can be written");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.worker(0))).expect("readable");
    for line in [
        "Uid:\t65534\t65534\t65534\t65534",
        "Gid:\t65534\t65534\t65534\t65534",
        "NoNewPrivs:\t1",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line:?} is not in {status}");
    }
    assert!(cluster.stop().success());
}

#[test]
fn the_masters_secrets_do_not_reach_workers_of_another_user_unless_they_are_named() {
    if !is_root() {
        return;
    }
    let named = |plan: Plan| {
        plan.environment("AWS_SECRET_ACCESS_KEY", "s3cret")
            .environment("STRIPE_KEY", "sk_1")
            .environment("SHOP_NAME", "here")
            .environment("LC_ALL", "C")
    };
    let cluster = named(plan()).start();
    let of = |cluster: &Cluster, name: &str| variable(cluster.worker(0), name);
    for withheld in ["AWS_SECRET_ACCESS_KEY", "STRIPE_KEY", "SHOP_NAME", "HOME"] {
        assert_eq!(of(&cluster, withheld), None, "{withheld}");
    }
    assert_eq!(of(&cluster, "LC_ALL").as_deref(), Some("C"));
    assert_eq!(of(&cluster, "PATH"), std::env::var("PATH").ok());
    let told = cluster.wait_for("variables of the environment are withheld from the workers");
    assert!(!told.to_string().contains("s3cret"), "{told}");
    // A reload passes what is named now.
    let text = cluster.config_text();
    let key = "[cluster]\npass_environment = [\"STRIPE_KEY\", \"SHOP_*\"]";
    cluster.rewrite_config(&text.replace("[cluster]", key));
    cluster.run_json(&["reload"]);
    cluster.wait_for_workers("one worker in each slot", |workers| {
        workers.values().all(|pids| pids.len() == 1)
    });
    assert_eq!(of(&cluster, "STRIPE_KEY").as_deref(), Some("sk_1"));
    assert_eq!(of(&cluster, "SHOP_NAME").as_deref(), Some("here"));
    assert_eq!(of(&cluster, "AWS_SECRET_ACCESS_KEY"), None);
    assert!(cluster.stop().success());
}

#[test]
fn workers_of_the_masters_own_user_get_its_whole_environment() {
    let cluster = Plan::shop().environment("STRIPE_KEY", "sk_1").start();
    assert_eq!(variable(cluster.worker(0), "STRIPE_KEY").as_deref(), Some("sk_1"));
    assert!(cluster.stop().success());
}
