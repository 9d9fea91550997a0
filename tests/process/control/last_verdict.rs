//! The result of an operation that no client waits for: it is seen in `status` and in systemd's `STATUS=`.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Cli, Cluster, Plan, notify_socket, put_bytes, replaceable, wait_for_status};

fn last_verdict(cluster: &Cluster) -> Value {
    cluster.run_json(&["status"])["master"]["last_verdict"].clone()
}

#[test]
fn a_reload_by_signal_that_fails_is_seen_in_status_and_by_systemd() {
    let (plan, socket) = notify_socket(Plan::shop());
    let cluster = plan.start();
    assert!(last_verdict(&cluster).is_null());
    let good = cluster.config_text();
    cluster.rewrite_config(&format!("{good}\n[http]\nwrong_key = 1\n"));
    cluster.signal(Signal::SIGHUP);
    wait_for_status(&socket, "reload to generation 2 failed: ");
    let verdict = last_verdict(&cluster);
    assert_eq!(verdict["operation"], "reload", "{verdict}");
    assert_eq!(verdict["result"], "backed_out", "{verdict}");
    assert_eq!(verdict["generation"], 2, "{verdict}");
    assert!(verdict["ago_ms"].is_u64(), "{verdict}");
    let reason = verdict["reason"].as_str().expect("a reason");
    assert!(reason.contains("wrong_key"), "{reason}");
    let text = cluster.run(&["status"]).stdout;
    assert!(
        text.contains("last reload: backed out ") && text.contains("wrong_key"),
        "{text}"
    );
    cluster.rewrite_config(&good);
    cluster.signal(Signal::SIGHUP);
    wait_for_status(&socket, "generation 3");
    let verdict = last_verdict(&cluster);
    assert_eq!(
        (verdict["result"].as_str(), verdict["reason"].as_str()),
        (Some("done"), None)
    );
}

#[test]
fn an_upgrade_and_a_scaling_by_signal_that_are_refused_are_seen_as_well() {
    let (plan, socket) = notify_socket(Plan::shop());
    let (cluster, program) = replaceable(plan);
    put_bytes(b"garbage", &program);
    cluster.signal(Signal::SIGUSR2);
    wait_for_status(&socket, "upgrade refused: ");
    let verdict = last_verdict(&cluster);
    assert_eq!(verdict["operation"], "upgrade", "{verdict}");
    assert_eq!(verdict["result"], "refused", "{verdict}");
    cluster.signal(Signal::SIGTTOU);
    cluster.wait_for_workers("one worker", |workers| workers.len() == 1);
    cluster.signal(Signal::SIGTTOU);
    wait_for_status(&socket, "scale refused: ");
    assert_eq!(last_verdict(&cluster)["operation"], "scale");
}

#[test]
fn a_scaling_by_signal_whose_worker_never_gets_ready_is_seen_as_well() {
    let (plan, socket) = notify_socket(Plan::shop());
    let cluster = plan.start();
    let file = cluster.data().join("orders.db");
    std::fs::rename(&file, file.with_extension("kept")).expect("moved away");
    std::fs::create_dir(&file).expect("made");
    cluster.signal(Signal::SIGTTIN);
    cluster.wait_for("scaling from 2 to 3 workers given up: ");
    wait_for_status(&socket, "scale failed: ");
    let verdict = last_verdict(&cluster);
    assert_eq!(verdict["operation"], "scale", "{verdict}");
    assert_eq!(verdict["result"], "backed_out", "{verdict}");
    let slots = cluster.run_json(&["status"])["slots"].clone();
    assert_eq!(slots.as_array().map(Vec::len), Some(2), "{slots}");
}

#[test]
fn a_rollback_is_reported_as_one() {
    let cluster = Plan::shop().start();
    cluster.run_json(&["reload"]);
    // The log may be read a moment after the answer.
    cluster.wait_for("reload done");
    let mark = cluster.mark();
    assert_eq!(cluster.run(&["rollback", "--no-wait"]).code, 0);
    cluster.wait_from(mark, "rollback done");
    assert_eq!(cluster.count_from(mark, "reload"), 0, "{:#?}", cluster.log());
    assert_eq!(last_verdict(&cluster)["operation"], "rollback");
}
