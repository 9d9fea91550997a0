//! A standby, which can only be read, and what happens when it takes the primary's place.

use crate::common::place;
use crate::outages::{assert_refused, started, wait_for_status};
use crate::server::{Server, plan_at};

pub(crate) fn failover() {
    let primary = Server::start();
    let standby = primary.follow();
    // What is committed is on the standby, too, or an acknowledged order could be lost with the primary.
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let alone = standby.plan().start();
    let unready = alone.get("/healthz/readiness");
    assert_eq!(unready.status, 503);
    assert!(unready.body.contains("it is a standby"), "{unready:?}");
    assert!(alone.stop().success());

    let both = format!(
        "postgres://shop@127.0.0.1:{},127.0.0.1:{}/shop_{{service}}",
        primary.port(),
        standby.port()
    );
    let cluster = started(plan_at(&both));
    let workers = cluster.workers();
    let order = place(&cluster);
    primary.stop("immediate");
    wait_for_status(&cluster, "/healthz/readiness", 503);
    assert_refused(&cluster, "does not allow writes");
    standby.promote();
    wait_for_status(&cluster, "/healthz/readiness", 200);
    assert_eq!(
        cluster.get(&format!("/orders/{order}")).json()["status"],
        "confirmed"
    );
    place(&cluster);
    assert_eq!(cluster.workers(), workers, "nobody was restarted");
    assert!(cluster.stop().success());
}
