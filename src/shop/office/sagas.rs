//! `sagas`: the orders that are not over, one order's story, and a person's decisions, each recorded with its reason.

use rusqlite::{OptionalExtension, named_params};
use serde::Serialize;
use serde_json::json;

use super::{Failure, HANDED_BACK, Where};
use crate::base::exit::Exit;
use crate::scoreboard::Board;
use crate::shop::clock::{now_ms, rfc3339};
use crate::shop::contract::OrderId;
use crate::shop::{audit, dossier, orders};
use crate::store::{Admission, Options, Store, Tx, WriteError};

/// List the orders that are not over, tell one order's story, decide about one that is parked.
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
    /// The orders that are not over, the oldest first.
    List {
        /// Only those that are parked.
        #[arg(long)]
        parked: bool,
        /// Only those of this customer.
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
    },
    /// Everything that is on disk about one order.
    Show {
        /// ord_...
        order: String,
    },
    /// Hand a parked order back to the cluster, which tries again from the top within two seconds.
    Retry(Decision),
    /// Say that a parked order stands, whatever its saga knows: you have seen that it is paid and its goods are there.
    Confirm(Decision),
    /// Say that a parked order does not stand: you have seen that it is not paid and nothing is held for it.
    Reject(Decision),
}

#[derive(Debug, clap::Args)]
struct Decision {
    /// ord_...
    order: String,
    /// Why; recorded.
    #[arg(long)]
    reason: String,
}

#[derive(Serialize)]
struct Row {
    id: String,
    status: &'static str,
    since: String,
    customer_id: String,
    owner: String,
    claim_no: u32,
    reason: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let data_dir = &arguments.place.data_dir;
    match &arguments.act {
        Act::List {
            parked,
            customer,
            limit,
        } => {
            for row in list(data_dir, *parked, customer.as_deref(), *limit)? {
                println!(
                    "{}",
                    if arguments.json {
                        serde_json::to_string(&row)?
                    } else {
                        row.line()
                    }
                );
            }
            Ok(())
        }
        Act::Show { order } => {
            let story = dossier::read(data_dir, order)?;
            if story.lines.is_empty() {
                return Err(Failure(
                    Exit::Failed,
                    format!("there is no order {order} in {}", data_dir.display()),
                ));
            }
            println!(
                "{}",
                if arguments.json {
                    serde_json::to_string(&story)?
                } else {
                    story.to_string()
                }
            );
            Ok(())
        }
        Act::Retry(decision) => decide(data_dir, decision, "retry"),
        Act::Confirm(decision) => decide(data_dir, decision, "confirm"),
        Act::Reject(decision) => decide(data_dir, decision, "reject"),
    }
}

impl Row {
    fn line(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        let (status, since, customer) = (self.status, &self.since, &self.customer_id);
        format!(
            "{}  {status:8}  since {since}  {customer}  owner {}, claim {}  {reason}",
            self.id, self.owner, self.claim_no
        )
    }
}

fn list(
    data_dir: &std::path::Path,
    parked: bool,
    customer: Option<&str>,
    limit: u32,
) -> rusqlite::Result<Vec<Row>> {
    audit::open(&data_dir.join(orders::FILE))?
        .prepare(
            "SELECT id, status, ended_ms, customer_id, owner, claim_no, reason FROM orders
             WHERE status < 20 AND (status = 11 OR NOT :parked) AND (:customer IS NULL OR customer_id = :customer)
             ORDER BY id LIMIT :limit",
        )?
        .query_map(
            named_params! { ":parked": parked, ":customer": customer, ":limit": limit },
            |row| {
                Ok(Row {
                    id: OrderId::from_key(row.get(0)?).to_string(),
                    status: if row.get::<_, i64>(1)? == 11 { "parked" } else { "pending" },
                    since: rfc3339(row.get::<_, i64>(2)?.unsigned_abs()),
                    customer_id: row.get(3)?,
                    owner: row.get(4)?,
                    claim_no: row.get(5)?,
                    reason: row.get(6)?,
                })
            },
        )?
        .collect()
}

/// In one transaction with its record; only of an order that is parked. Every decision raises the claim, so that nobody who
/// parked it can write for it any more.
fn decide(data_dir: &std::path::Path, decision: &Decision, act: &'static str) -> Result<(), Failure> {
    let order: OrderId = decision.order.parse()?;
    let (reason, who) = (decision.reason.clone(), format!("uid {}", nix::unistd::getuid()));
    let cell = Board::private().cell("office");
    let cell = cell.ok_or_else(|| Failure(Exit::Failed, "a new board has no cell".to_owned()))?;
    let store = Store::open(&orders::SCHEMA, Options::new(data_dir.join(orders::FILE), cell))?;
    let job = move |tx: &Tx<'_>| {
        let done = match act {
            "retry" => retry(tx, order)?,
            "confirm" => end(tx, order, 20, "order.confirmed", None)?,
            _ => end(tx, order, 30, "order.rejected", Some(&reason))?,
        };
        if done {
            tx.execute(
                "INSERT INTO interventions (order_id, at_ms, act, who, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
                (order.key(), now_ms().cast_signed(), act, &who, &reason),
            )?;
        }
        let status = tx
            .query_row("SELECT status FROM orders WHERE id = ?1", [order.key()], |row| {
                row.get::<_, i64>(0)
            })
            .optional()?;
        Ok((done, status))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let decided: Result<(bool, Option<i64>), WriteError<rusqlite::Error>> =
        runtime.block_on(store.write(Admission::New, job));
    match decided? {
        (true, _) => {
            println!("{order}: {act}, recorded");
            Ok(())
        }
        (false, None) => Err(Failure(
            Exit::Failed,
            format!("there is no order {order} in {}", data_dir.display()),
        )),
        (false, Some(_)) => Err(Failure(
            Exit::Failed,
            format!(
                "{order} is not parked, expected one that is (see `sagas list --parked`); nothing was changed"
            ),
        )),
    }
}

fn retry(tx: &Tx<'_>, order: OrderId) -> rusqlite::Result<bool> {
    let handed_back = "UPDATE orders SET status = 10, reason = NULL, owner = ?2, claim_no = claim_no + 1
        WHERE id = ?1 AND status = 11";
    Ok(tx.execute(handed_back, (order.key(), HANDED_BACK.to_string()))? == 1)
}

fn end(
    tx: &Tx<'_>,
    order: OrderId,
    status: i64,
    event: &str,
    reason: Option<&str>,
) -> rusqlite::Result<bool> {
    let rejection = |reason: &str| json!({ "rejected": { "gave_up": { "step": format!("a person's decision: {reason}") } } });
    let why = reason.map(|reason| rejection(reason).to_string());
    let ended = "UPDATE orders SET status = ?2, ended_ms = ?3, reason = ?4, claim_no = claim_no + 1
        WHERE id = ?1 AND status = 11";
    let now = now_ms().cast_signed();
    let done = tx.execute(ended, (order.key(), status, now, why))? == 1;
    if done {
        tx.execute(
            "INSERT INTO outbox (order_id, event, at_ms) VALUES (?1, ?2, ?3)",
            (order.key(), event, now),
        )?;
    }
    Ok(done)
}
