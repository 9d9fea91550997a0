//! The medians, the bars, and what an order costs.

use std::fmt;

use crate::arms::{Arm, Run};
use crate::costs::Costs;
use crate::dbos;
use crate::table::Table;

/// All that was measured.
pub(crate) struct Report {
    bars: Table,
    /// Medians, with whose they are.
    costs: Vec<(&'static str, Costs)>,
}

impl Report {
    /// Of the runs of each arm, round by round.
    pub(crate) fn of(arms: &[Arm], runs: &[Vec<Run>]) -> Result<Report, String> {
        let column = |wanted: Arm, value: fn(&Run) -> f64| -> Vec<f64> {
            let runs = arms.iter().position(|arm| *arm == wanted).map(|at| &runs[at]);
            runs.into_iter().flatten().map(value).collect()
        };
        let per_s = |arm| column(arm, |run| run.per_s);
        let shop = per_s(Arm::SHOP);
        let faster: Vec<f64> = per_s(Arm::Dbos(1))
            .iter()
            .zip(per_s(Arm::Dbos(2)))
            .map(|(one, two)| one.max(two))
            .collect();
        let ratio =
            |under: &[f64]| median(shop.iter().zip(under).map(|(shop, under)| shop / under).collect());
        let mut bars = Table::default();
        bars.at_least(
            "the shop on PostgreSQL, confirmed per second",
            median(shop.clone()),
            600.0,
            "/s",
        );
        let hosts = per_s(Arm::Hosts);
        let hosts = hosts.iter().zip(&shop).map(|(two, one)| two / one).collect();
        bars.at_least("  two hosts against one", median(hosts), 1.0, "x");
        if arms.contains(&Arm::Pipeline) {
            bars.at_least(
                &format!("  against DBOS {}, the faster of its two", dbos::version()?),
                ratio(&faster),
                4.0,
                "x",
            );
            let pipeline = ratio(&per_s(Arm::Pipeline));
            bars.at_least("  share of the bare pipeline", pipeline, 0.5, "");
            bars.fact("  share of the shop on SQLite", ratio(&per_s(Arm::Sqlite)), "");
        }
        bars.at_most("  p99", median(column(Arm::SHOP, |run| run.p99_ms)), 250.0, "ms");
        bars.fact("  p50", median(column(Arm::SHOP, |run| run.p50_ms)), "ms");
        let failed = column(Arm::SHOP, |run| run.failed).iter().sum();
        bars.at_most("  neither 201, 202, 402 nor 409", failed, 0.0, "");
        for arm in arms.iter().filter(|arm| **arm != Arm::SHOP) {
            bars.fact(
                &format!("{}, orders per second", arm.title()),
                median(per_s(*arm)),
                "/s",
            );
            bars.fact("  p99", median(column(*arm, |run| run.p99_ms)), "ms");
        }
        let mut costs = Vec::new();
        for (arm, runs) in arms.iter().zip(runs) {
            costs.push((arm.title(), medians(runs.iter().map(|run| run.costs))));
        }
        Ok(Report { bars, costs })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.bars)?;
        writeln!(
            f,
            "{:<24} {:>8} {:>12} {:>10} {:>8} {:>14} {:>9}",
            "for each order", "commits", "round trips", "WAL syncs", "WAL KiB", "server CPU ms", "own CPU ms"
        )?;
        for (title, costs) in &self.costs {
            let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
            writeln!(
                f,
                "{:<24} {:>8} {:>12} {:>10} {:>8} {:>14} {:>9}",
                title,
                shown(costs.commits),
                shown(costs.round_trips),
                shown(costs.wal_syncs),
                shown(costs.wal_bytes.map(|bytes| bytes / 1024.0)),
                shown(costs.server_ms),
                shown(Some(costs.our_ms)),
            )?;
        }
        Ok(())
    }
}

fn medians(costs: impl Iterator<Item = Costs>) -> Costs {
    let costs: Vec<Costs> = costs.collect();
    let of = |value: fn(&Costs) -> Option<f64>| {
        let values: Vec<f64> = costs.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| median(values))
    };
    Costs {
        commits: of(|costs| costs.commits),
        round_trips: of(|costs| costs.round_trips),
        wal_syncs: of(|costs| costs.wal_syncs),
        wal_bytes: of(|costs| costs.wal_bytes),
        server_ms: of(|costs| costs.server_ms),
        our_ms: of(|costs| Some(costs.our_ms)).unwrap_or_default(),
    }
}

/// The middle one; of an even number, the upper of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
