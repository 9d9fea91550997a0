//! Reloads with their verdicts: exit code, JSON, and the reason; and back again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Desk, Plan, client, put, replaceable};

#[test]
fn a_good_reload_tells_its_generation_and_the_times_of_each_slot() {
    let cluster = Plan::shop().start();
    let told = cluster.ask(&["reload"]);
    assert_eq!(
        (told["answer"].as_str(), told["did"].as_str()),
        (Some("done"), Some("reloaded"))
    );
    assert_eq!(
        (told["generation"].as_u64(), told["from"].as_u64()),
        (Some(2), Some(1))
    );
    let slots = told["slots"].as_array().expect("slots");
    assert_eq!(slots.len(), 2);
    assert!(
        slots
            .iter()
            .all(|slot| slot["ready_after_ms"].is_u64() && slot["replaced_after_ms"].is_u64())
    );
    assert_eq!(cluster.ask(&["status"])["master"]["generation"], 2);
    let text = cluster.tell(&["reload"]);
    assert!(
        text.stdout
            .starts_with("reloaded: generation 3 serves in place of 2"),
        "{text:?}"
    );
}

#[test]
fn a_bad_configuration_is_told_with_line_and_key() {
    let cluster = Plan::shop().start();
    let good = cluster.config_text();
    cluster.rewrite_config(&format!("{good}\n[http]\nwrong_key = 1\n"));
    let told = cluster.tell(&["reload", "--json"]);
    assert_eq!(told.code, 5, "{told:?}");
    let told = told.json();
    assert_eq!(
        (told["answer"].as_str(), told["cause"]["failure"].as_str()),
        (Some("failed"), Some("bad_configuration"))
    );
    let reason = told["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("wrong_key") && reason.contains("cluster.toml:"),
        "{reason}"
    );
    let text = cluster.tell(&["reload"]);
    assert!(text.code == 5 && text.stdout.contains("wrong_key"), "{text:?}");
    cluster.rewrite_config(&good);
    assert_eq!(cluster.tell(&["reload"]).code, 0);
}

#[test]
fn a_binary_that_exits_at_boot_is_told_with_its_last_words() {
    let (cluster, program) = replaceable(Plan::shop());
    put(Path::new("/bin/ls"), &program);
    let told = cluster.tell(&["reload", "--json"]);
    assert_eq!(told.code, 5, "{told:?}");
    let told = told.json();
    assert_eq!(told["cause"]["failure"], "exited_at_boot", "{told}");
    let said = told["stderr"].to_string();
    assert!(said.contains("--config"), "{told}");
    cluster.is_well(2);
    let why = cluster.ask(&["why", "0"]);
    let death = &why["deaths"][0];
    assert_eq!(
        (death["kind"].as_str(), death["exit_code"].as_i64()),
        (Some("boot"), Some(2)),
        "{death}"
    );
    assert!(death["stderr"].to_string().contains("--config"), "{death}");
}

#[test]
fn a_binary_that_is_empty_gone_or_no_program_changes_nothing() {
    let (cluster, program) = replaceable(Plan::shop());
    let refused = || {
        let told = cluster.tell(&["reload", "--json"]);
        assert_eq!(told.code, 5, "{told:?}");
        cluster.is_well(2);
        told.json()["cause"]["failure"]
            .as_str()
            .expect("a cause")
            .to_owned()
    };
    std::fs::remove_file(&program).expect("removed");
    assert_eq!(refused(), "bad_binary");
    std::fs::write(&program, "").expect("written");
    assert_eq!(refused(), "bad_binary");
    std::fs::write(&program, "#!/bin/sh\nexec cluster \"$@\"\n").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    for verb in ["reload", "upgrade"] {
        let told = cluster.tell(&[verb]);
        let said = format!("{}{}", told.stdout, told.stderr);
        assert!(told.code != 0 && said.contains("it is a script (#!)"), "{told:?}");
    }
    assert_eq!(refused(), "bad_binary");
    std::fs::write(&program, "no program at all").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    assert_eq!(refused(), "spawn_failed");
    put(Path::new(env!("CARGO_BIN_EXE_cluster")), &program);
    assert_eq!(cluster.tell(&["reload"]).code, 0);
}

#[test]
fn rollback_returns_to_the_generation_before() {
    let cluster = Plan::shop().start();
    let nothing = cluster.tell(&["rollback"]);
    assert_eq!(nothing.code, 4, "there is none before the first: {nothing:?}");
    cluster.ask(&["reload"]);
    let told = cluster.ask(&["rollback"]);
    assert_eq!(told["did"], "rolled_back", "{told}");
    cluster.is_well(2);
}

#[test]
fn a_second_reload_is_not_mixed_with_the_first() {
    let cluster = Plan::shop()
        .replace("bake_time = \"50ms\"", "bake_time = \"500ms\"")
        .start();
    let mark = cluster.mark();
    let first = cluster.typed(&["reload", "--json"]).spawn().expect("it runs");
    cluster.wait_from(mark, "reload: rolling out");
    let second = cluster.tell(&["reload", "--json"]);
    let first = first.wait_with_output().expect("it ends");
    assert!(first.status.success(), "{first:?}");
    // Refused or done after the first, and told which.
    assert!(second.code == 0 || second.code == 4, "{second:?}");
    cluster.is_well(2);
}

#[test]
fn a_generation_without_room_for_its_clients_answers_worse_and_is_backed_out() {
    // It is backed out as soon as it shows, long before it has baked.
    let cluster = Plan::shop()
        .replace("bake_time = \"50ms\"", "bake_time = \"60s\"")
        .start();
    cluster.rewrite_config(&format!(
        "{}\n[http]\nmax_connections = 1\n",
        cluster.config_text()
    ));
    let (address, done) = (cluster.address(), AtomicBool::new(false));
    let told = std::thread::scope(|scope| {
        for _client in 0..6 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let url = format!("http://{address}/drill/sleep?ms=10");
                    let _refused_or_not = client().get(&url).call();
                }
            });
        }
        let told = cluster.tell(&["reload", "--json"]);
        done.store(true, Ordering::Relaxed);
        told
    });
    assert_eq!(told.code, 5, "{told:?}");
    let told = told.json();
    assert_eq!(told["cause"]["failure"], "answers_worse", "{told}");
    assert!(told["cause"]["new"]["refused"].as_u64() > Some(0), "{told}");
    assert!(told["cause"]["old"].get("refused").is_none(), "{told}");
    cluster.is_well(2);
}
