//! `sagas list`: selects orders by state, age, owner and customer, and prints them.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::CommandFailure;
use crate::base::ids::Life;
use crate::shop::contract::OrderId;
use crate::shop::orders::records::{ListedOrder, ListedOrdersQuery, StatusFilter};
use crate::shop::orders::{OrderStatus, OrdersReader};
use crate::shop::recovery::clock::rfc3339;
use crate::shop::recovery::steady_clock::SteadyClock;
use crate::worker::print_line;

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

/// An order as it is printed.
#[derive(Serialize)]
struct PrintedOrder {
    id: String,
    status: &'static str,
    placed: String,
    since: String,
    customer_id: String,
    owner: Life,
    claim_no: u32,
    saga_version: u32,
    reason: Option<String>,
    given_up: Option<String>,
}

pub(super) async fn print(data_dir: &Path, filter: &ListFilter, json: bool) -> Result<(), CommandFailure> {
    let orders = OrdersReader::open(data_dir).await?;
    for order in orders.list(filter.query(data_dir)?).await? {
        let order = PrintedOrder::from(order);
        let line = if json {
            serde_json::to_string(&order)?
        } else {
            order.line()
        };
        print_line(&line)?;
    }
    Ok(())
}

impl ListFilter {
    fn query(&self, data_dir: &Path) -> Result<ListedOrdersQuery, CommandFailure> {
        let age = self.older_than.unwrap_or_default().as_millis();
        let now_ms = SteadyClock::open(data_dir).now_ms();
        let before_ms = now_ms.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX));
        let state = match (self.parked, self.state) {
            (true, _) => ListedState::Parked,
            (false, state) => state.unwrap_or(ListedState::Open),
        };
        Ok(ListedOrdersQuery {
            status: state.filter(),
            after: self.after.as_deref().map(str::parse).transpose()?,
            before: OrderId::first_of(before_ms.saturating_add(1)),
            owner: self.worker.clone(),
            version: self.saga_version,
            customer: self.customer.clone(),
            limit: self.limit,
        })
    }
}

impl ListedState {
    fn filter(self) -> StatusFilter {
        match self {
            ListedState::Open => StatusFilter::Unfinished,
            ListedState::Pending => StatusFilter::Only(OrderStatus::Pending),
            ListedState::Parked => StatusFilter::Only(OrderStatus::Parked),
            ListedState::Confirmed => StatusFilter::Only(OrderStatus::Confirmed),
            ListedState::Rejected => StatusFilter::Only(OrderStatus::Rejected),
        }
    }
}

impl From<ListedOrder> for PrintedOrder {
    fn from(order: ListedOrder) -> PrintedOrder {
        let standing = order.standing;
        PrintedOrder {
            id: order.id.to_string(),
            status: standing.status.word(),
            placed: rfc3339(order.id.created_ms()),
            since: rfc3339(standing.changed_ms),
            customer_id: order.customer,
            owner: standing.owner,
            claim_no: standing.claim_no,
            saga_version: standing.version,
            reason: standing.reason,
            given_up: order.given_up,
        }
    }
}

impl PrintedOrder {
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
