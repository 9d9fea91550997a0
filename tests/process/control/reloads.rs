//! Reloads with their verdicts: exit code, JSON, and the reason; and back again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Cli, Plan, client, put, replaceable};

#[test]
fn a_good_reload_tells_its_generation_and_the_times_of_each_slot() {
    let cluster = Plan::shop().start();
    let result = cluster.run_json(&["reload"]);
    assert_eq!(
        (result["answer"].as_str(), result["did"].as_str()),
        (Some("done"), Some("reloaded"))
    );
    assert_eq!(
        (result["generation"].as_u64(), result["from"].as_u64()),
        (Some(2), Some(1))
    );
    let slots = result["slots"].as_array().expect("slots");
    assert_eq!(slots.len(), 2);
    assert!(
        slots
            .iter()
            .all(|slot| slot["ready_after_ms"].is_u64() && slot["replaced_after_ms"].is_u64())
    );
    assert_eq!(cluster.run_json(&["status"])["master"]["generation"], 2);
    let text = cluster.run(&["reload"]);
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
    let result = cluster.run(&["reload", "--json"]);
    assert_eq!(result.code, 5, "{result:?}");
    let result = result.json();
    assert_eq!(
        (result["answer"].as_str(), result["cause"]["failure"].as_str()),
        (Some("failed"), Some("bad_configuration"))
    );
    let reason = result["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("wrong_key") && reason.contains("cluster.toml:"),
        "{reason}"
    );
    let text = cluster.run(&["reload"]);
    assert!(text.code == 5 && text.stdout.contains("wrong_key"), "{text:?}");
    cluster.rewrite_config(&good);
    assert_eq!(cluster.run(&["reload"]).code, 0);
}

#[test]
fn a_binary_that_exits_at_boot_is_told_with_its_last_words() {
    let (cluster, program) = replaceable(Plan::shop());
    put(Path::new("/bin/ls"), &program);
    let result = cluster.run(&["reload", "--json"]);
    assert_eq!(result.code, 5, "{result:?}");
    let result = result.json();
    assert_eq!(result["cause"]["failure"], "exited_at_boot", "{result}");
    let said = result["stderr"].to_string();
    assert!(said.contains("--config"), "{result}");
    cluster.wait_until_serving(2);
    let why = cluster.run_json(&["why", "0"]);
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
        let result = cluster.run(&["reload", "--json"]);
        assert_eq!(result.code, 5, "{result:?}");
        cluster.wait_until_serving(2);
        result.json()["cause"]["failure"]
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
        let result = cluster.run(&[verb]);
        let said = format!("{}{}", result.stdout, result.stderr);
        assert!(
            result.code != 0 && said.contains("it is a script (#!)"),
            "{result:?}"
        );
    }
    assert_eq!(refused(), "bad_binary");
    std::fs::write(&program, "no program at all").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    assert_eq!(refused(), "spawn_failed");
    put(Path::new(env!("CARGO_BIN_EXE_cluster")), &program);
    assert_eq!(cluster.run(&["reload"]).code, 0);
}

#[test]
fn rollback_returns_to_the_generation_before() {
    let cluster = Plan::shop().start();
    let nothing = cluster.run(&["rollback"]);
    assert_eq!(nothing.code, 4, "there is none before the first: {nothing:?}");
    cluster.run_json(&["reload"]);
    let result = cluster.run_json(&["rollback"]);
    assert_eq!(result["did"], "rolled_back", "{result}");
    cluster.wait_until_serving(2);
}

#[test]
fn a_second_reload_is_not_mixed_with_the_first() {
    let cluster = Plan::shop()
        .replace("bake_time = \"50ms\"", "bake_time = \"500ms\"")
        .start();
    let mark = cluster.mark();
    let first = cluster.command(&["reload", "--json"]).spawn().expect("it runs");
    cluster.wait_from(mark, "reload: rolling out");
    let second = cluster.run(&["reload", "--json"]);
    let first = first.wait_with_output().expect("it ends");
    assert!(first.status.success(), "{first:?}");
    // Refused or done after the first, and told which.
    assert!(second.code == 0 || second.code == 4, "{second:?}");
    cluster.wait_until_serving(2);
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
    let result = std::thread::scope(|scope| {
        for _client in 0..6 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let url = format!("http://{address}/drill/sleep?ms=10");
                    let _refused_or_not = client().get(&url).call();
                }
            });
        }
        let result = cluster.run(&["reload", "--json"]);
        done.store(true, Ordering::Relaxed);
        result
    });
    assert_eq!(result.code, 5, "{result:?}");
    let result = result.json();
    assert_eq!(result["cause"]["failure"], "answers_worse", "{result}");
    assert!(result["cause"]["new"]["refused"].as_u64() > Some(0), "{result}");
    assert!(result["cause"]["old"].get("refused").is_none(), "{result}");
    cluster.wait_until_serving(2);
}
