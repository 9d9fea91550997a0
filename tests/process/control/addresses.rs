//! Addresses that change by a reload: the new ones answer, the old ones are let go of, and what backs out
//! leaves nothing behind.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Cli, Cluster, Plan, put, replaceable};

const OLD: &str = "bind = [\"127.0.0.1:0\"]";

/// Where the cluster says it listens.
fn addresses(cluster: &Cluster) -> Vec<String> {
    let status = cluster.run_json(&["status"]);
    let addresses = status["master"]["addresses"].as_array().expect("addresses");
    addresses
        .iter()
        .map(|address| address.as_str().expect("text").to_owned())
        .collect()
}

fn at(cluster: &Cluster, host: &str) -> SocketAddr {
    let found = addresses(cluster)
        .into_iter()
        .find(|address| address.starts_with(host));
    found
        .expect("an address of that host")
        .parse()
        .expect("an address")
}

/// Which workers answer there, asked often enough to meet each.
fn answers(address: SocketAddr) {
    for _ in 0..40 {
        let url = format!("http://{address}/healthz/liveness");
        let answer = crate::common::client().get(&url).call().expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}

fn bind(cluster: &Cluster, list: &str) {
    let text = cluster.config_text();
    cluster.rewrite_config(&text.replace(OLD, &format!("bind = [{list}]")));
}

#[test]
fn an_address_is_added_and_the_old_one_serves_on_all_the_while() {
    let cluster = Plan::shop().start();
    let old = cluster.address();
    bind(&cluster, "\"127.0.0.1:0\", \"127.0.0.2:0\"");
    let done = AtomicBool::new(false);
    let load = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                answers(old);
                asked += 40;
            }
            asked
        });
        cluster.run_json(&["reload"]);
        done.store(true, Ordering::Relaxed);
        load.join().expect("no request failed")
    });
    assert!(load > 0);
    answers(at(&cluster, "127.0.0.2:"));
    answers(old);
    assert!(cluster.stop().success());
}

#[test]
fn an_address_is_replaced_and_a_rollback_brings_the_old_one_back() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let plan = Plan::shop().replace("127.0.0.1:0", &free.to_string());
    let cluster = plan.start();
    answers(free);
    let text = cluster.config_text();
    cluster.rewrite_config(&text.replace(&free.to_string(), "127.0.0.2:0"));
    cluster.run_json(&["reload"]);
    let new = at(&cluster, "127.0.0.2:");
    assert_eq!(addresses(&cluster), [new.to_string()]);
    answers(new);
    cluster.wait_for("no longer listening on");
    // Both workers of the old generation have to be gone before the kernel refuses.
    cluster.wait_for_many(0, "worker gone after", 2);
    assert!(TcpStream::connect(free).is_err(), "the old address is let go of");
    cluster.run_json(&["rollback"]);
    assert_eq!(addresses(&cluster), [free.to_string()]);
    answers(free);
    cluster.wait_for_many(0, "worker gone after", 4);
    assert!(TcpStream::connect(new).is_err(), "the newer address is let go of");
    assert!(cluster.stop().success());
}

#[test]
fn an_address_that_somebody_else_has_backs_the_reload_out_and_is_named() {
    let cluster = Plan::shop().start();
    let before = addresses(&cluster);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = (taken.local_addr().expect("its address"), taken);
    bind(&cluster, &format!("\"127.0.0.2:0\", \"{}\"", taken.0));
    let result = cluster.run(&["reload"]);
    assert_eq!(result.code, 5, "{result:?}");
    // By whom is told as well where he is found in time, which a busy machine does not promise.
    let who = format!("{} is in use", taken.0);
    assert!(
        result.stdout.contains(&who) || result.stderr.contains(&who),
        "{result:?}"
    );
    assert_eq!(
        addresses(&cluster),
        before,
        "what could be opened was closed again"
    );
    answers(cluster.address());
    assert!(cluster.stop().success());
}

#[test]
fn a_reload_that_backs_out_later_closes_what_it_opened() {
    let (cluster, program) = replaceable(Plan::shop());
    let before = addresses(&cluster);
    let path = cluster.data().join("shop.sock");
    bind(&cluster, &format!("\"127.0.0.2:0\", \"unix:{}\"", path.display()));
    // Its workers cannot boot: their program only says that it failed.
    put(std::path::Path::new("/bin/false"), &program);
    let result = cluster.run(&["reload"]);
    assert_eq!(result.code, 5, "{result:?}");
    assert_eq!(addresses(&cluster), before);
    assert!(!path.exists(), "the socket's path is gone");
    answers(cluster.address());
    assert!(cluster.stop().success());
}

#[test]
fn an_address_widens_to_every_interface_on_the_same_port() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let cluster = Plan::shop()
        .replace("[drill]\nroutes = true\n", "")
        .replace("127.0.0.1:0", &free.to_string())
        .start();
    let text = cluster.config_text();
    let all = format!("0.0.0.0:{}", free.port());
    cluster.rewrite_config(&text.replace(&free.to_string(), &all));
    cluster.run_json(&["reload"]);
    assert_eq!(addresses(&cluster), [all]);
    answers(free);
    answers(SocketAddr::new(
        "127.0.0.3".parse().expect("an address"),
        free.port(),
    ));
    assert!(cluster.stop().success());
}
