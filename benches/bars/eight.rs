//! What eight workers make of two cores, against two workers. They take turns, so that what else the machine
//! does falls on both.

use crate::load;
use crate::server::{Plan, Server};
use crate::spread::Spread;
use crate::table::Table;

/// The median of the rounds' ratios.
pub(crate) fn measure(rounds: usize, seconds: u64, table: &mut Table) -> Result<(), String> {
    let (two, eight) = (
        Server::start(&Plan::workers(2))?,
        Server::start(&Plan::workers(8))?,
    );
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for server in [&two, &eight] {
        rate(server, 1)?;
    }
    for round in 1..=rounds {
        few.push(rate(&two, seconds)?);
        many.push(rate(&eight, seconds)?);
        let (few, many) = (few[round - 1], many[round - 1]);
        eprintln!(
            "  round {round}: {few:.0}/s with two, {many:.0}/s with eight, {:.2}",
            many / few
        );
    }
    let ratios = Spread::of(many.iter().zip(&few).map(|(many, few)| many / few)).ok_or("no round")?;
    let median = |values: Vec<f64>| Spread::of(values).map_or(f64::NAN, |spread| spread.median());
    table.fact("POST /orders, two workers (median)", median(few), "/s");
    table.fact("  eight workers (median)", median(many), "/s");
    table.at_least("  eight against two (median of rounds)", ratios.median(), 0.7, "");
    Ok(())
}

fn rate(server: &Server, seconds: u64) -> Result<f64, String> {
    let said = load::orders(server.address(), 64, seconds)?;
    let bad = said.number("failed")? + said.number("socket_errors")?;
    if bad > 0.0 {
        return Err(format!("{bad} orders failed"));
    }
    said.per_second("created")
}
