//! `sagas`: the orders that are not over, one order's story, and a person's decisions, each recorded with its reason.

mod decide;
mod list;

use std::time::Duration;

use super::{Failure, Where};
use crate::base::exit::Exit;
use crate::shop::evidence::order_report;

/// List orders, tell one order's story and what comes next, decide about orders that are parked. Works on the data directory,
/// beside a running cluster or without one.
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Print JSON, one document a line.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// The orders that are not over (or those of another state), the oldest first.
    List(list::Filter),
    /// Everything that is on disk about one order, and what comes next.
    Show {
        /// ord_...
        order: String,
    },
    /// Have the cluster try parked orders again, from the top, where they stood still.
    Retry(Many),
    /// Have the cluster undo parked orders: goods back on the shelf, the charge cancelled or refunded, the order rejected.
    Compensate(Many),
    /// Say that a parked order stands. Only when its charge stands and its goods have left the shelf: nothing is moved.
    Confirm(One),
    /// Say that a parked order does not stand. Only when no charge stands and nothing is held: nothing is moved.
    Reject(One),
}

#[derive(Debug, clap::Args)]
struct Many {
    /// ord_...
    #[arg(required_unless_present = "all")]
    orders: Vec<String>,
    /// Every order that is parked.
    #[arg(long, conflicts_with = "orders")]
    all: bool,
    /// Why; recorded.
    #[arg(long)]
    reason: String,
    /// How long to wait for what becomes of it.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    wait: Duration,
}

#[derive(Debug, clap::Args)]
struct One {
    /// ord_...
    order: String,
    /// Why; recorded.
    #[arg(long)]
    reason: String,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let data_dir = &arguments.place.data_dir;
    match &arguments.act {
        Act::List(filter) => list::print(data_dir, filter, arguments.json),
        Act::Show { order } => show(data_dir, order, arguments.json),
        Act::Retry(many) => decide::hand_back(data_dir, many, decide::Back::Retry),
        Act::Compensate(many) => decide::hand_back(data_dir, many, decide::Back::Compensate),
        Act::Confirm(one) => decide::by_hand(data_dir, one, decide::Hand::Confirm),
        Act::Reject(one) => decide::by_hand(data_dir, one, decide::Hand::Reject),
    }
}

fn show(data_dir: &std::path::Path, order: &str, json: bool) -> Result<(), Failure> {
    let story = order_report::read(data_dir, order)?;
    if story.lines.is_empty() {
        return Err(no_such_order(order, data_dir));
    }
    let text = if json {
        serde_json::to_string(&story)?
    } else {
        story.to_string()
    };
    println!("{text}");
    Ok(())
}

fn no_such_order(order: impl std::fmt::Display, data_dir: &std::path::Path) -> Failure {
    let place = data_dir.display();
    Failure(Exit::Failed, format!("there is no order {order} in {place}"))
}
