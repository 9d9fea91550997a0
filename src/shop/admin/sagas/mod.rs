//! `sagas`: lists unfinished orders, shows the history of one order, and records an operator's decisions with
//! their reasons.

mod decide;
mod list;

use std::time::Duration;

use self::decide::{HandBack, ManualEnd};
use super::{CommandFailure, DataDirOption};
use crate::base::exit::Exit;
use crate::shop::evidence::{blocking, order_report};
use crate::worker::print_line;

/// List orders, tell one order's story and what comes next, decide about orders that are parked. Works on the
/// data directory, beside a running cluster or without one.
#[derive(Debug, clap::Parser)]
pub(super) struct SagasArguments {
    #[command(flatten)]
    data: DataDirOption,
    /// Print JSON, one document a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: SagasCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SagasCommand {
    /// The orders that are not over (or those of another state), the oldest first.
    List(list::ListFilter),
    /// Everything that is on disk about one order, and what comes next.
    Show {
        /// The order: `ord_` and 13 characters.
        order: String,
    },
    /// Have the cluster try parked orders again, from the top, where they stood still.
    Retry(ManyOrders),
    /// Have the cluster undo parked orders: goods back on the shelf, the charge cancelled or refunded, the
    /// order rejected.
    Compensate(ManyOrders),
    /// Say that a parked order stands. Only when its charge stands and its goods have left the shelf: nothing
    /// is moved.
    Confirm(OneOrder),
    /// Say that a parked order does not stand. Only when no charge stands and nothing is held: nothing is
    /// moved.
    Reject(OneOrder),
}

#[derive(Debug, clap::Args)]
struct ManyOrders {
    /// The order: `ord_` and 13 characters.
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
struct OneOrder {
    /// The order: `ord_` and 13 characters.
    order: String,
    /// Why; recorded.
    #[arg(long)]
    reason: String,
}

pub(super) fn run(arguments: SagasArguments) -> Result<(), CommandFailure> {
    let data_dir = &arguments.data.data_dir;
    blocking::run(|| async {
        match &arguments.command {
            SagasCommand::List(filter) => list::print(data_dir, filter, arguments.json).await,
            SagasCommand::Show { order } => show(data_dir, order, arguments.json),
            SagasCommand::Retry(many) => decide::hand_back(data_dir, many, HandBack::Retry).await,
            SagasCommand::Compensate(many) => decide::hand_back(data_dir, many, HandBack::Compensate).await,
            SagasCommand::Confirm(one) => decide::end_by_operator(data_dir, one, ManualEnd::Confirm).await,
            SagasCommand::Reject(one) => decide::end_by_operator(data_dir, one, ManualEnd::Reject).await,
        }
    })?
}

fn show(data_dir: &std::path::Path, order: &str, json: bool) -> Result<(), CommandFailure> {
    let report = order_report::read(data_dir, order)?;
    if report.lines.is_empty() {
        return Err(no_such_order(order, data_dir));
    }
    let text = if json {
        serde_json::to_string(&report)?
    } else {
        report.to_string()
    };
    print_line(&text)?;
    Ok(())
}

fn no_such_order(order: impl std::fmt::Display, data_dir: &std::path::Path) -> CommandFailure {
    let place = data_dir.display();
    CommandFailure(Exit::Failed, format!("there is no order {order} in {place}"))
}
