//! Building the model anew: the totals of all customers as of an event, beside the rows that are in use,
//! which go on to be read and are replaced in one transaction.

use super::sqlite::CustomersRepository;
use crate::shop::contract::{OrderTotals, OrdersMark, StorageError};

/// Customers that are read and written at once.
const AT_ONCE: usize = 500;
/// How often it is tried while somebody else does the same.
const TRIES: u32 = 5;

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shop) struct Rebuilt {
    /// How many rows: one for each customer and currency.
    pub(in crate::shop) rows: usize,
    /// The event behind which the model goes on.
    pub(in crate::shop) mark: OrdersMark,
}

/// Builds the model from what orders tells. Several may do so at the same time; the last one stands.
///
/// # Errors
/// [`StorageError`]; what was in use before stays in use then.
pub(in crate::shop) async fn rebuild(
    orders: &impl OrderTotals,
    repository: &CustomersRepository,
) -> Result<Rebuilt, StorageError> {
    for _ in 0..TRIES {
        if let Some(built) = build(orders, repository).await? {
            repository.remove_unused().await?;
            return Ok(built);
        }
    }
    let reason = "the summaries of customers were built by somebody else at the same time, again and again";
    Err(StorageError::Stalled(reason.to_owned()))
}

/// `None` when somebody who built the model at the same time removed rows of this one.
async fn build(
    orders: &impl OrderTotals,
    repository: &CustomersRepository,
) -> Result<Option<Rebuilt>, StorageError> {
    let mark = orders.newest_event().await?;
    let generation = (fastrand::u64(1..) >> 1).cast_signed();
    let (mut rows, mut after) = (0, None);
    loop {
        let totals = orders.totals_as_of(mark.number, after, AT_ONCE).await?;
        let Some(last) = totals.last() else { break };
        after = Some(last.customer.clone());
        rows += totals.len();
        repository.prepare(generation, totals).await?;
    }
    let is_whole = repository.replace(generation, rows, mark).await?;
    Ok(is_whole.then_some(Rebuilt { rows, mark }))
}
