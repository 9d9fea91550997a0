//! Whether the summaries of customers agree with the orders, and how far they are behind.

use std::collections::BTreeMap;
use std::path::Path;

use crate::shop::contract::StorageError;
use crate::shop::customers::{CustomersReader, FILE};
use crate::shop::orders::OrdersReader;

/// Customers whose totals are read at once.
const AT_ONCE: usize = 1_000;
/// Differences that are told one by one.
const MAX_TOLD: usize = 5;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::shop) struct ReadModelFindings {
    /// How the model stands, as text.
    pub(in crate::shop) standing: String,
    /// What a person should look at: the model is wrong, and is built anew by `replay`.
    pub(in crate::shop) wrong: Vec<String>,
}

/// The confirmed orders, and what they cost, of a customer in a currency.
type KnownTotals = BTreeMap<(String, String), (u64, u64)>;

/// Compares the model with the orders as of the event that the model has come to. `None` when there is no
/// model yet, or it is one of other events, which a running cluster builds anew.
pub(in crate::shop) async fn check(data_dir: &Path) -> Result<Option<ReadModelFindings>, StorageError> {
    let Some(model) = CustomersReader::open(data_dir).await? else {
        return Ok(None);
    };
    let pages = model.check_pages().await?;
    if pages != "ok" {
        return Ok(Some(ReadModelFindings {
            standing: format!("{FILE}: {pages}"),
            wrong: vec![format!(
                "{FILE} is broken; remove it with its -wal, -shm and .lock, and it is built anew"
            )],
        }));
    }
    let orders = OrdersReader::open(data_dir).await?;
    let Some((mark, rows)) = model.rows().await? else {
        return Ok(None);
    };
    let newest = orders.newest_event().await?;
    if newest.stream != mark.stream || newest.number < mark.number {
        return Ok(None);
    }
    let behind = orders.events_behind(mark.number).await?;
    let standing = format!(
        "{FILE}: {} totals of customers, {behind} events behind",
        rows.len()
    );
    let known: KnownTotals = rows
        .into_iter()
        .map(|row| ((row.customer, row.currency), (row.orders, row.amount)))
        .collect();
    let wrong = differences(&known, &totals_as_of(&orders, mark.number).await?);
    Ok(Some(ReadModelFindings { standing, wrong }))
}

async fn totals_as_of(orders: &OrdersReader, number: u64) -> Result<KnownTotals, StorageError> {
    let (mut all, mut after) = (KnownTotals::new(), None);
    loop {
        let page = orders.totals_as_of(number, after, AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.customer.clone());
        all.extend(page.into_iter().map(|totals| {
            let currency = totals.spent.currency.as_str().to_owned();
            (
                (totals.customer.into(), currency),
                (totals.orders, totals.spent.amount),
            )
        }));
    }
}

fn differences(known: &KnownTotals, expected: &KnownTotals) -> Vec<String> {
    let all = expected
        .keys()
        .chain(known.keys().filter(|key| !expected.contains_key(*key)));
    let told = |key: &(String, String)| {
        let (found, right) = (known.get(key), expected.get(key));
        let text = |totals: Option<&(u64, u64)>| match totals {
            Some((orders, amount)) => format!("{orders} orders of {amount} {}", key.1),
            None => "nothing".to_owned(),
        };
        (found != right).then(|| {
            format!(
                "the summary of {} says {}, expected {}: `replay` builds it anew",
                key.0,
                text(found),
                text(right)
            )
        })
    };
    let mut wrong: Vec<String> = all.filter_map(told).collect();
    if wrong.len() > MAX_TOLD {
        let more = wrong.split_off(MAX_TOLD).len();
        wrong.push(format!("and {more} more summaries are wrong"));
    }
    wrong
}
