//! What takes turns on the server, and what a turn is.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::costs::{Costs, Counters, ticks_of_ended_children};
use crate::database::PostgresServer;
use crate::dbos::{self, Dbos};
use crate::load::{self, Said};
use crate::pipeline::Services;
use crate::server::{Plan, Server};
use crate::{procfs, run};

/// Orders under way at the same time.
const AT_ONCE: usize = 64;
/// Before what is measured.
const WARM_UP: u64 = 2;

/// Who makes the orders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arm {
    /// `cluster serve --workers 2` on the server, with so many clients.
    Shop(usize),
    /// Two hosts with one worker each, over the same databases.
    Hosts,
    /// The same as the first on SQLite.
    Sqlite,
    /// So many processes of Node with DBOS.
    Dbos(usize),
    /// The statements alone.
    Pipeline,
}

/// What came of a turn.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Confirmed orders.
    pub(crate) per_s: f64,
    /// The median time of one.
    pub(crate) p50_ms: f64,
    /// All but one in a hundred took less.
    pub(crate) p99_ms: f64,
    /// Answers that were neither 201, 202, 402 nor 409.
    pub(crate) failed: f64,
    /// For each order.
    pub(crate) costs: Costs,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} orders/s, p50 {:.0} ms, p99 {:.0} ms",
            self.per_s, self.p50_ms, self.p99_ms
        )
    }
}

/// One host and two.
pub(crate) fn hosts() -> Vec<Arm> {
    vec![Arm::SHOP, Arm::Hosts]
}

/// In the order of the first round.
pub(crate) fn all() -> Result<Vec<Arm>, String> {
    dbos::is_installed()?;
    Ok(vec![
        Arm::SHOP,
        Arm::Hosts,
        Arm::Shop(1),
        Arm::Dbos(1),
        Arm::Dbos(2),
        Arm::Pipeline,
        Arm::Sqlite,
    ])
}

impl Arm {
    /// What the bars are about.
    pub(crate) const SHOP: Arm = Arm::Shop(AT_ONCE);

    /// In tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Arm::Shop(1) => "the shop, one client",
            Arm::Shop(_) => "the shop on PostgreSQL",
            Arm::Hosts => "the shop on two hosts",
            Arm::Sqlite => "the shop on SQLite",
            Arm::Dbos(1) => "DBOS, one process",
            Arm::Dbos(_) => "DBOS, two processes",
            Arm::Pipeline => "the bare pipeline",
        }
    }

    /// One turn, in new databases, which are gone afterwards.
    pub(crate) fn run(self, server: &PostgresServer, seconds: u64) -> Result<Run, String> {
        server.rest()?;
        match self {
            Arm::Shop(clients) => shop(server, clients, seconds),
            Arm::Hosts => two_hosts(server, seconds),
            Arm::Sqlite => sqlite(seconds),
            Arm::Dbos(processes) => with_dbos(server, processes, seconds),
            Arm::Pipeline => pipeline(server, seconds),
        }
    }
}

fn shop(server: &PostgresServer, clients: usize, seconds: u64) -> Result<Run, String> {
    let databases = server.of_the_shop()?;
    let engine = format!(
        "[store]\nengine = \"postgres\"\n[postgres]\nurl = \"{}\"",
        databases.url()
    );
    let before = Counters::of(server, 0)?;
    // The plan holds texts that last; one for each turn is little.
    let cluster = Server::start(&Plan {
        workers: 2,
        shop: engine.leak(),
        ..Plan::default()
    })?;
    let everyone = cluster.everyone()?;
    let (warm_up, said, costs) = loaded(server, cluster.address(), &everyone, (clients, seconds))?;
    // What its sessions have counted reaches the server's statistics when they end.
    drop(cluster);
    let orders = databases.check_the_shop()?;
    confirmed(orders, &[&warm_up, &said])?;
    let costs = costs.with_syncs(&before, &Counters::of(server, 0)?, orders);
    of_load(&said, costs)
}

/// Two clusters on this machine, which share its cores with the server and the clients as one of two
/// workers does.
fn two_hosts(server: &PostgresServer, seconds: u64) -> Result<Run, String> {
    let databases = server.of_the_shop()?;
    let engine: &str = format!(
        "[store]\nengine = \"postgres\"\n[postgres]\ncluster = \"bench\"\nurl = \"{}\"",
        databases.url()
    )
    .leak();
    let before = Counters::of(server, 0)?;
    let host = || {
        Server::start(&Plan {
            workers: 1,
            shop: engine,
            ..Plan::default()
        })
    };
    let (one, other) = (host()?, host()?);
    let both = |seconds| {
        std::thread::scope(|scope| {
            let loads = [&one, &other].map(|host| {
                let address = host.address();
                scope.spawn(move || load::orders(address, AT_ONCE / 2, seconds))
            });
            loads.map(|load| load.join().map_err(|_| "a load panicked".to_owned())?)
        })
    };
    let ticks = || {
        let everyone = [one.everyone()?, other.everyone()?].concat();
        let ticks = everyone.into_iter().map(procfs::cpu_ticks);
        ticks.sum::<Result<u64, String>>()
    };
    let [first, second] = both(WARM_UP);
    let warm_up = (first?, second?);
    let begun = Counters::of(server, ticks()?)?;
    let [first, second] = both(seconds);
    let (first, second) = (first?, second?);
    let created = first.number("created")? + second.number("created")?;
    let costs = Counters::of(server, ticks()?)?.since(&begun, server, created)?;
    drop((one, other));
    let orders = databases.check_the_shop()?;
    confirmed(orders, &[&warm_up.0, &warm_up.1, &first, &second])?;
    let costs = costs.with_syncs(&before, &Counters::of(server, 0)?, orders);
    let (one, other) = (of_load(&first, costs)?, of_load(&second, costs)?);
    Ok(Run {
        per_s: one.per_s + other.per_s,
        p50_ms: one.p50_ms.max(other.p50_ms),
        p99_ms: one.p99_ms.max(other.p99_ms),
        failed: one.failed + other.failed,
        costs,
    })
}

fn with_dbos(server: &PostgresServer, processes: usize, seconds: u64) -> Result<Run, String> {
    let databases = server.of_dbos()?;
    let before = Counters::of(server, 0)?;
    let dbos = Dbos::start(&databases, processes)?;
    let (warm_up, said, costs) = loaded(server, dbos.address(), &dbos.everyone(), (AT_ONCE, seconds))?;
    drop(dbos);
    let orders = databases.check_dbos()?;
    confirmed(orders, &[&warm_up, &said])?;
    let costs = costs.with_syncs(&before, &Counters::of(server, 0)?, orders);
    of_load(&said, costs)
}

fn sqlite(seconds: u64) -> Result<Run, String> {
    let cluster = Server::start(&Plan::workers(2))?;
    let ticks = || {
        cluster
            .everyone()?
            .into_iter()
            .map(procfs::cpu_ticks)
            .sum::<Result<u64, String>>()
    };
    load::orders(cluster.address(), AT_ONCE, WARM_UP)?;
    let before = ticks()?;
    let said = load::orders(cluster.address(), AT_ONCE, seconds)?;
    let costs = Costs::of_ours_alone(ticks()? - before, said.number("created")?);
    of_load(&said, costs)
}

/// The whole of it is measured, with the start of its processes.
fn pipeline(server: &PostgresServer, seconds: u64) -> Result<Run, String> {
    let databases = server.of_the_shop()?;
    let before = Counters::of(server, ticks_of_ended_children()?)?;
    let measured = run::run::<Services>(&run::Plan {
        processes: 2,
        in_flight: AT_ONCE / 2,
        seconds,
        place: databases.url().to_owned(),
    })?;
    let after = Counters::of(server, ticks_of_ended_children()?)?;
    let orders = databases.check_the_shop()?;
    let mut costs = after
        .since(&before, server, orders)?
        .with_syncs(&before, &after, orders);
    // Its connections have ended with their counts.
    costs.round_trips = None;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Run {
        per_s: measured.orders_per_s,
        p50_ms: ms(measured.p50),
        p99_ms: ms(measured.p99),
        failed: 0.0,
        costs,
    })
}

/// A load of so many clients for so many seconds after a shorter one: what wrk said of both, and what the
/// second one cost.
fn loaded(
    server: &PostgresServer,
    address: SocketAddr,
    everyone: &[u32],
    (clients, seconds): (usize, u64),
) -> Result<(Said, Said, Costs), String> {
    let ticks = || {
        let ticks = everyone.iter().copied().map(procfs::cpu_ticks);
        ticks.sum::<Result<u64, String>>()
    };
    let warm_up = load::orders(address, clients, WARM_UP)?;
    let before = Counters::of(server, ticks()?)?;
    let said = load::orders(address, clients, seconds)?;
    let costs = Counters::of(server, ticks()?)?.since(&before, server, said.number("created")?)?;
    Ok((warm_up, said, costs))
}

/// Every order that was answered with 201 is there.
fn confirmed(found: f64, loads: &[&Said]) -> Result<(), String> {
    let told: f64 = loads
        .iter()
        .map(|said| said.number("created"))
        .sum::<Result<f64, String>>()?;
    match found >= told {
        true => Ok(()),
        false => Err(format!(
            "{told} orders were answered with 201, and {found} are confirmed"
        )),
    }
}

fn of_load(said: &Said, costs: Costs) -> Result<Run, String> {
    Ok(Run {
        per_s: said.per_second("created")?,
        p50_ms: said.ms("p50_us")?,
        p99_ms: said.ms("p99_us")?,
        failed: said.number("failed")? + said.number("socket_errors")?,
        costs,
    })
}
