//! `sagas list`: selects orders by state, age, owner and customer, and prints them.

use std::path::Path;
use std::time::Duration;

use rusqlite::named_params;
use serde::Serialize;

use super::CommandFailure;
use crate::shop::contract::OrderId;
use crate::shop::evidence::audit;
use crate::shop::orders;
use crate::shop::recovery::clock::rfc3339;
use crate::shop::recovery::steady_clock::SteadyClock;

/// Which orders are listed; those that are not over, when nothing is said.
#[derive(Debug, clap::Args)]
pub(super) struct ListFilter {
    /// Only those that are parked; as --state parked.
    #[arg(long, conflicts_with = "state")]
    parked: bool,
    /// Only those of this state.
    #[arg(long, value_enum)]
    state: Option<ListedState>,
    /// Only those that were placed at least so long ago.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    older_than: Option<Duration>,
    /// Only those of this owner: a life (7/0/3), or a slot or incarnation of it (7/0, 7).
    #[arg(long, value_name = "LIFE")]
    worker: Option<String>,
    /// Only those of this version of the saga's definition.
    #[arg(long, value_name = "N")]
    saga_version: Option<u32>,
    /// Only those of this customer.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only those after this one.
    #[arg(long, value_name = "ORDER")]
    after: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u32,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ListedState {
    /// Neither confirmed nor rejected.
    Open,
    /// The saga is under way.
    Pending,
    /// The saga stands still.
    Parked,
    Confirmed,
    Rejected,
}

#[derive(Serialize)]
struct ListedOrder {
    id: String,
    status: &'static str,
    placed: String,
    since: String,
    customer_id: String,
    owner: String,
    claim_no: u32,
    saga_version: u32,
    reason: Option<String>,
    given_up: Option<String>,
}

const SELECT: &str =
    "SELECT id, status, ended_ms, customer_id, owner, claim_no, version, reason, given_up FROM orders";
const WHERE: &str = "id > :after AND id < :before AND (:customer IS NULL OR customer_id = :customer)
    AND (:worker IS NULL OR owner = :worker OR substr(owner, 1, length(:worker) + 1) = :worker || '/')
    AND (:version IS NULL OR version = :version) ORDER BY id LIMIT :limit";

pub(super) fn print(data_dir: &Path, filter: &ListFilter, json: bool) -> Result<(), CommandFailure> {
    for row in read(data_dir, filter)? {
        let line = if json {
            serde_json::to_string(&row)?
        } else {
            row.line()
        };
        println!("{line}");
    }
    Ok(())
}

fn read(data_dir: &Path, filter: &ListFilter) -> Result<Vec<ListedOrder>, CommandFailure> {
    let after: Option<OrderId> = filter.after.as_deref().map(str::parse).transpose()?;
    let age = filter.older_than.unwrap_or_default().as_millis();
    let now_ms = SteadyClock::open(data_dir).now_ms();
    let before = now_ms.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX));
    let state = match (filter.parked, filter.state) {
        (true, _) => "status < 20 AND status = 11",
        (false, Some(state)) => state.condition(),
        (false, None) => ListedState::Open.condition(),
    };
    let rows = audit::open(&data_dir.join(orders::FILE))?
        .prepare(&format!("{SELECT} WHERE {state} AND {WHERE}"))?
        .query_map(
            named_params! {
                ":after": after.map_or(-1, OrderId::key),
                ":before": OrderId::first_of(before.saturating_add(1)).key(),
                ":customer": filter.customer,
                ":worker": filter.worker,
                ":version": filter.saga_version,
                ":limit": filter.limit,
            },
            ListedOrder::read,
        )?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

impl ListedState {
    fn condition(self) -> &'static str {
        match self {
            ListedState::Open => "status < 20",
            ListedState::Pending => "status < 20 AND status = 10",
            ListedState::Parked => "status < 20 AND status = 11",
            ListedState::Confirmed => "status = 20",
            ListedState::Rejected => "status = 30",
        }
    }
}

impl ListedOrder {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<ListedOrder> {
        let id = OrderId::from_key(row.get(0)?);
        Ok(ListedOrder {
            id: id.to_string(),
            status: match row.get::<_, i64>(1)? {
                10 => "pending",
                11 => "parked",
                20 => "confirmed",
                _ => "rejected",
            },
            placed: rfc3339(id.created_ms()),
            since: rfc3339(row.get::<_, i64>(2)?.unsigned_abs()),
            customer_id: row.get(3)?,
            owner: row.get(4)?,
            claim_no: row.get(5)?,
            saga_version: row.get(6)?,
            reason: row.get(7)?,
            given_up: row.get(8)?,
        })
    }

    fn line(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        let undone = self
            .given_up
            .as_ref()
            .map_or(String::new(), |why| format!("  to be undone: {why}"));
        let (status, since, customer) = (self.status, &self.since, &self.customer_id);
        format!(
            "{}  {status:9}  since {since}  {customer}  owner {}, claim {}, saga version {}  \
             {reason}{undone}",
            self.id, self.owner, self.claim_no, self.saga_version
        )
    }
}
