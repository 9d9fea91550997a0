//! `replay`: builds the summaries of customers anew, beside a running cluster or a stopped one.

use std::path::Path;
use std::sync::Arc;

use super::{CommandFailure, DataDirOption};
use crate::scoreboard::Board;
use crate::shop::contract::StorageError;
use crate::shop::customers::{CustomersRepository, FILE, Rebuilt, rebuild};
use crate::shop::evidence::blocking;
use crate::shop::orders::{self, OrdersRepository};
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::shop::sqlite::snapshots::keep_owner;
use crate::worker::print_line;

/// Build the summaries of customers (`customers.db`) anew: from the totals of all orders as of the newest
/// event. A running cluster goes on with the events behind it. What retention removed is in the totals as an
/// opening balance. Nothing else is changed, and nothing is missing meanwhile: the new summaries take the
/// place of the old ones at once.
#[derive(Debug, clap::Parser)]
pub(super) struct ReplayArguments {
    #[command(flatten)]
    data: DataDirOption,
}

pub(super) fn run(arguments: ReplayArguments) -> Result<(), CommandFailure> {
    let data_dir = arguments.data.data_dir;
    let built = blocking::run(|| replay(&data_dir))??;
    for file in [FILE.to_owned(), format!("{FILE}.lock")] {
        // What root made belongs to the user of the workers.
        keep_owner(&data_dir.join(orders::FILE), &data_dir.join(file));
    }
    let Rebuilt { rows, mark } = built;
    let number = mark.number;
    print_line(&format!(
        "{FILE}: {rows} totals of customers, as of event {number} of orders"
    ))?;
    Ok(())
}

async fn replay(data_dir: &Path) -> Result<Rebuilt, StorageError> {
    let orders = OrdersRepository::open_for_decisions(data_dir).await?;
    let clock = Arc::new(SteadyClock::open(data_dir));
    let customers = CustomersRepository::new(data_dir, &Board::private(), clock, Arc::new(|_reason| ()))?;
    let built = rebuild(&orders, &customers).await?;
    customers.close();
    Ok(built)
}
