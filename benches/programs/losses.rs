//! Requests that fail while workers are replaced or killed. One client sends them at a fixed rate and counts
//! each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::arms::{Arm, Bar, Runner};
use crate::chaos::client::{Call, Kind, Load};
use crate::chaos::request_log::RequestLog;
use crate::chaos::verdict::Verdict;
use crate::chaos::witness;
use crate::options::Extent;
use crate::restarts::median;
use crate::running::Running;
use crate::server::signal;
use crate::table::Table;

/// Between two kills: long enough for every arm to have its worker back.
const REST: Duration = Duration::from_millis(500);
/// What Node's own cluster loses in ten kills is about 22.
const LOST_IN_KILLS: f64 = 5.0;

/// A load, what happens under it, and what became of the requests.
fn under_load(
    arm: &'static Arm,
    kind: Kind,
    extent: &Extent,
    name: &str,
    deeds: impl FnOnce(&Running) -> Result<(), String>,
) -> Result<(Verdict, RequestLog), String> {
    let running = Running::start(arm, 2)?;
    let get = Call {
        method: "GET",
        path: "/",
        body: "",
    };
    let load = Load {
        address: running.address(),
        kind,
        rate: arm.rate.min(extent.rate),
        calls: vec![get],
    };
    let (load, began) = (load.start(), Instant::now());
    std::thread::sleep(extent.steady);
    let struck = Instant::now();
    let done = deeds(&running);
    let calm = Instant::now();
    std::thread::sleep(extent.steady);
    let log = load.finish();
    done?;
    let mut verdict = Verdict::new(&format!("{}: {name}", arm.title), kind, &log);
    verdict.note_latency(&log, began..struck, struck..calm);
    Ok((verdict, log))
}

/// Reloads, one after the other.
pub(crate) fn reloads(arm: &'static Arm, kind: Kind, extent: &Extent) -> Result<Verdict, String> {
    let times = extent.reloads;
    let rate = arm.rate.min(extent.rate);
    let name = format!("reload x {times}, {rate}/s");
    let (mut verdict, log) = under_load(arm, kind, extent, &name, |running| {
        (0..times).try_for_each(|_| running.reload())
    })?;
    let failed = log.failed().count();
    match (arm.bar, kind) {
        (Bar::Nothing, _) | (Bar::NothingOnNewConnections, Kind::New) => {
            verdict.expect(failed == 0, format!("{failed} failed (bar 0)"));
        }
        (Bar::Fact | Bar::NothingOnNewConnections, _) => verdict.note("no bar".to_owned()),
    }
    Ok(verdict)
}

/// `kill -9` of one program after the other under new connections, the whole several times.
pub(crate) fn kills(arm: &'static Arm, extent: &Extent, table: &mut Table) -> Result<Vec<Verdict>, String> {
    let mut failed = Vec::new();
    let mut verdicts = Vec::new();
    for _ in 0..extent.kill_runs {
        let (verdict, many) = ten_kills(arm, extent)?;
        verdicts.push(verdict);
        failed.push(many as f64);
    }
    let figure = format!("{}: lost in {} kills", arm.title, extent.kills);
    if arm.runner == Runner::Cluster {
        table.at_most(&figure, median(failed), LOST_IN_KILLS, "");
    } else {
        table.fact(&figure, median(failed), "");
    }
    Ok(verdicts)
}

/// The kernel tells what the victim had accepted: it is stopped, its sockets are looked at, and it is killed,
/// which no client can tell from a bare kill.
fn ten_kills(arm: &'static Arm, extent: &Extent) -> Result<(Verdict, usize), String> {
    let mut accepted = Vec::new();
    let name = format!("kill -9 x {}", extent.kills);
    let (mut verdict, log) = under_load(arm, Kind::New, extent, &name, |running| {
        for number in 0..extent.kills {
            running.wait_for_programs(&[])?;
            let programs = running.programs();
            let victim = *programs.get(number % 2).ok_or("there are no two programs")?;
            accepted.extend(kill(victim, running.address())?);
            running.wait_for_programs(&[victim])?;
            std::thread::sleep(REST);
        }
        Ok(())
    })?;
    let failed = log.failed().count();
    let of_a_victim = |from: Option<SocketAddr>| from.is_some_and(|from| accepted.contains(&from));
    let excused = log.failed().filter(|request| of_a_victim(request.from)).count();
    verdict.excuse(excused);
    if arm.runner == Runner::Cluster {
        let others = failed - excused;
        verdict.expect(
            others == 0,
            format!("{others} failed that no victim had accepted (bar 0)"),
        );
    } else {
        verdict.note("no bar".to_owned());
    }
    Ok((verdict, failed))
}

/// Kills a program; the clients that it had accepted.
fn kill(victim: u32, server: SocketAddr) -> Result<Vec<SocketAddr>, String> {
    let pid = i32::try_from(victim).map_err(|error| error.to_string())?;
    signal(victim, Signal::SIGSTOP);
    witness::wait_for_state(pid, 'T');
    let accepted = witness::accepted_by(pid, server);
    signal(victim, Signal::SIGKILL);
    Ok(accepted.into_iter().collect())
}
