//! Binaries that cannot take over: each is refused with its reason, and the old master goes on as if nothing
//! had been.

use std::path::Path;

use serde_json::Value;

use super::scenes::workers;
use crate::common::{Cli, Cluster, Plan, put, put_bytes, replaceable};

/// The refusal's words.
fn refused(cluster: &Cluster) -> String {
    let result = cluster.run(&["upgrade", "--json"]);
    assert_eq!(result.code, 4, "{result:?}");
    let result: Value = result.json();
    assert_eq!(result["answer"], "refused", "{result}");
    result["reason"].as_str().expect("a reason").to_owned()
}

/// What of the master must be as it was.
fn standing(cluster: &Cluster) -> (Value, Vec<(Value, Value, Value)>) {
    let status = cluster.run_json(&["status"]);
    (status["master"]["fds"].clone(), workers(cluster))
}

#[test]
fn what_is_no_master_of_this_kind_is_refused_with_its_reason_and_changes_nothing() {
    let plan = Plan::shop().with("[cluster]", "ready_timeout = \"2s\"");
    let (cluster, program) = replaceable(plan);
    let before = standing(&cluster);
    let expect = |reason: &str, what: &str| {
        let result = refused(&cluster);
        assert!(result.contains(reason), "{what}: {result}");
        assert_eq!(standing(&cluster), before, "{what} left something behind");
    };
    std::fs::remove_file(&program).expect("removed");
    expect("No such file", "gone");
    put_bytes(b"", &program);
    expect("it is empty", "empty");
    put_bytes(b"no program at all", &program);
    expect("not a program for this machine", "garbage");
    put_bytes(b"#!/bin/sh\nexit 0\n", &program);
    expect("it is a script (#!)", "a script");
    put(Path::new("/bin/true"), &program);
    expect("without saying whether it can take over", "true");
    put(Path::new("/bin/ls"), &program);
    expect("--rehearse-upgrade", "another program, by its last words");
    let whole = std::fs::read(env!("CARGO_BIN_EXE_cluster")).expect("readable");
    put_bytes(&whole[..1 << 20], &program);
    expect("", "truncated");
    let mut foreign = whole;
    // e_machine: 40 is 32-bit ARM.
    foreign[18..20].copy_from_slice(&40_u16.to_le_bytes());
    put_bytes(&foreign, &program);
    expect("not a program for this machine", "another machine's");
    drop(foreign);
    put(Path::new(env!("CARGO_BIN_EXE_cluster")), &program);
    assert_eq!(cluster.run_json(&["upgrade"])["did"], "upgraded");
    assert_eq!(workers(&cluster), before.1);
}

#[test]
fn a_binary_that_hangs_or_crashes_is_refused_in_time_and_the_master_answers_meanwhile() {
    let plan = Plan::shop().with("[cluster]", "ready_timeout = \"1s\"");
    let (cluster, program) = replaceable(plan);
    let before = standing(&cluster);
    put(&hanging(&cluster), &program);
    let mark = cluster.mark();
    let upgrade = cluster.command(&["upgrade", "--json"]).spawn().expect("it runs");
    cluster.wait_from(mark, "rehearses");
    cluster.wait_until_serving(2);
    let result = upgrade.wait_with_output().expect("it ends");
    assert_eq!(result.status.code(), Some(4), "{result:?}");
    let result = String::from_utf8(result.stdout).expect("text");
    assert!(result.contains("did not say within"), "{result}");
    assert_eq!(standing(&cluster), before);
}

/// A program that ignores its arguments and waits: a tiny ELF file, written here.
fn hanging(cluster: &Cluster) -> std::path::PathBuf {
    let path = cluster.data().join("hanging");
    std::fs::write(&path, elf(&PAUSE)).expect("written");
    path
}

#[test]
fn a_binary_that_is_killed_by_a_signal_is_refused_with_it() {
    let (cluster, program) = replaceable(Plan::shop());
    let path = cluster.data().join("crashing");
    std::fs::write(&path, elf(&TRAP)).expect("written");
    put(&path, &program);
    let result = refused(&cluster);
    assert!(result.contains("SIGILL"), "{result}");
    cluster.wait_until_serving(2);
}

/// `for (;;) pause();`
#[cfg(target_arch = "x86_64")]
const PAUSE: [u8; 9] = [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
/// `ud2`, an instruction that no processor carries out.
#[cfg(target_arch = "x86_64")]
const TRAP: [u8; 2] = [0x0f, 0x0b];

/// The smallest 64-bit ELF program: one segment with this code.
#[cfg(target_arch = "x86_64")]
fn elf(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 62);
    word(&mut file, 1);
    long(&mut file, BASE + HEADERS);
    long(&mut file, 64);
    long(&mut file, 0);
    word(&mut file, 0);
    for value in [64, 56, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    word(&mut file, 1);
    word(&mut file, 5);
    let length = HEADERS + code.len() as u64;
    for value in [0, BASE, BASE, length, length, 0x1000] {
        long(&mut file, value);
    }
    file.extend(code);
    file
}
