//! Requests per second without a pace, and the CPU time of all processes of an arm per request. The arms take
//! turns, so that what else the machine does falls on all of them.

use crate::arms::Arm;
use crate::load::{self, Cost};
use crate::options::Extent;
use crate::running::Running;
use crate::table::Table;

/// How much worse than Node's own cluster a figure may be before it is called worse: as much as two runs of
/// that one differ.
const NOISE: f64 = 1.05;

/// One that is measured, or the second measurement of the same.
struct Contender {
    title: String,
    running: usize,
    cost: Cost,
}

/// All arms in one run; Node's own cluster twice in each round, which shows what the machine alone does.
pub(crate) fn measure(arms: &[&'static Arm], extent: &Extent, table: &mut Table) -> Result<(), String> {
    load::find_wrk()?;
    let running = arms
        .iter()
        .map(|arm| Running::start(arm, 2))
        .collect::<Result<Vec<_>, _>>()?;
    let contender = |at: usize, title: &str| Contender {
        title: title.to_owned(),
        running: at,
        cost: Cost::default(),
    };
    let mut contenders: Vec<Contender> = arms
        .iter()
        .enumerate()
        .map(|(at, arm)| contender(at, arm.title))
        .collect();
    if let Some(at) = arms.iter().position(|arm| arm.name == "node-cluster") {
        contenders.push(contender(at, "Node's own cluster, once more"));
    }
    let turn = (extent.seconds / 4).max(1);
    for running in &running {
        load::cost(running.address(), &running.everyone(), turn)?;
    }
    for round in 0..extent.rounds {
        let many = contenders.len();
        // Another one begins each round.
        for at in (0..many).map(|at| (at + round) % many) {
            let contender = &mut contenders[at];
            let running = &running[contender.running];
            contender
                .cost
                .add(load::cost(running.address(), &running.everyone(), turn)?);
        }
    }
    print(&contenders, arms, table);
    Ok(())
}

fn print(contenders: &[Contender], arms: &[&'static Arm], table: &mut Table) {
    for Contender { title, cost, .. } in contenders {
        table.fact(&format!("{title}: requests per second"), cost.per_second(), "/s");
        table.fact(&format!("{title}: CPU per request"), cost.us_per_request(), "us");
    }
    let cost = |name: &str| {
        let at = arms.iter().position(|arm| arm.name == name)?;
        contenders.iter().find(|contender| contender.running == at)
    };
    let (Some(ours), Some(nodes)) = (cost("node"), cost("node-cluster")) else {
        return;
    };
    table.at_least(
        "cluster run against Node's own: requests per second",
        ours.cost.per_second() / nodes.cost.per_second(),
        1.0 / NOISE,
        "x",
    );
    table.at_most(
        "cluster run against Node's own: CPU per request",
        ours.cost.us_per_request() / nodes.cost.us_per_request(),
        NOISE,
        "x",
    );
}
