//! The commands of operators on databases of PostgreSQL.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Plan, TIMEOUT, command, place, run};
use crate::outages::started;
use crate::server::Server;

pub(crate) fn all() {
    let server = Server::start();
    let cluster = started(server.plan());
    let order = place(&cluster);
    let data = cluster.data();
    let data = data.to_str().expect("text");
    let doctor = run(&["doctor", "--data-dir", data]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(
        doctor.stdout.contains("orders at PostgreSQL (shop_orders): ok"),
        "{doctor:?}"
    );
    let shown = run(&["sagas", "show", &order, "--data-dir", data]);
    assert!(shown.code == 0 && shown.stdout.contains("confirmed"), "{shown:?}");
    let listed = run(&["sagas", "list", "--data-dir", data]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let replayed = run(&["replay", "--data-dir", data]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    let copy = cluster.keep().path().join("copy");
    let backup = run(&["backup", "--data-dir", data, copy.to_str().expect("text")]);
    assert_eq!(backup.code, 4, "{backup:?}");
    assert!(
        backup.stderr.contains("pg_basebackup") && !copy.exists(),
        "{backup:?}"
    );
    let moved = run(&["move", "--to", "sqlite", "--data-dir", data]);
    assert_eq!(moved.code, 69, "{moved:?}");
    assert!(moved.stderr.contains("stop the cluster first"), "{moved:?}");
    assert!(cluster.stop().success());
}

/// Moves, and is killed at a random moment, again and again with more time, until the move is through.
pub(crate) fn killed_move() {
    let server = Server::start();
    let cluster = Plan::shop()
        .with("[postgres]", &format!("url = \"{}\"", server.url("shop")))
        .start();
    let orders: Vec<String> = (0..30).map(|_| place(&cluster)).collect();
    let (directory, config) = (cluster.keep(), directory_config(&cluster));
    let data = cluster.data();
    assert!(cluster.stop().success());
    let data = data.to_str().expect("text").to_owned();
    for to in ["postgres", "sqlite"] {
        let arguments = ["move", "--to", to, "--config", &config, "--data-dir", &data];
        let mut kills = 0;
        for patience in 1.. {
            if !is_killed(command(&arguments), Duration::from_millis(15 * patience)) {
                break;
            }
            kills += 1;
            assert!(kills < 400, "the move does not come to an end");
        }
        assert!(kills > 0, "it was never killed");
        let doctor = run(&["doctor", "--at-rest", "--data-dir", &data]);
        assert_eq!(doctor.code, 0, "{doctor:?}");
        let expected = format!("orders: {} confirmed", orders.len());
        assert!(doctor.stdout.contains(&expected), "{doctor:?}");
        let again = run(&arguments);
        assert!(
            again.code == 0 && again.stdout.contains("nothing to do"),
            "{again:?}"
        );
    }
    for kept in std::fs::read_dir(&data).expect("there") {
        let kept = kept.expect("an entry").path();
        let name = kept
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if name.starts_with("moved-") {
            let doctor = run(&["doctor", "--at-rest", "--data-dir", kept.to_str().expect("text")]);
            assert_eq!(doctor.code, 0, "{name}: {doctor:?}");
        }
    }
    drop(directory);
}

fn directory_config(cluster: &crate::common::Cluster) -> String {
    let config = cluster.keep().path().join("cluster.toml");
    config.to_str().expect("text").to_owned()
}

/// Whether the command was killed before it had ended by itself, which it must do well.
fn is_killed(mut command: Command, after: Duration) -> bool {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    assert!(after < TIMEOUT);
    std::thread::sleep(after);
    match child.try_wait().expect("asked") {
        Some(_) => {
            let output = child.wait_with_output().expect("ended");
            assert!(output.status.success(), "{output:?}");
            false
        }
        None => {
            child.kill().expect("killed");
            child.wait().expect("ended");
            true
        }
    }
}
