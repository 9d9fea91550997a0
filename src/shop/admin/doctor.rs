//! `doctor`: checks every page of every database, and runs the audit.

use std::path::Path;

use super::{CommandFailure, DataDirOption};
use crate::base::exit::Exit;
use crate::control::{ControlAnswer, ControlCommand, ControlRequest, client};
use crate::shop::contract::StorageError;
use crate::shop::engine::StoreEngine;
use crate::shop::evidence::audit::{self, Moment};
use crate::shop::evidence::{blocking, consistency, read_model};
use crate::shop::inventory::{self, InventoryReader};
use crate::shop::orders::{self, OrdersReader};
use crate::shop::payments::{self, PaymentsReader};
use crate::shop::recovery::storage_watch;
use crate::shop::sandbox;
use crate::shop::sandbox::LedgerReader;
use crate::store::{LONG_WAL_BYTES, wal_bytes, wal_readers};
use crate::worker::print_line;

/// Check every page of the four databases (`PRAGMA integrity_check`; of PostgreSQL what the server knows of
/// broken pages) and the shop's invariants. Reads only.
#[derive(Debug, clap::Parser)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    data: DataDirOption,
    /// Nothing is under way (the cluster is stopped and was at rest): expect that all four files agree with
    /// each other.
    #[arg(long)]
    at_rest: bool,
}

pub(super) fn run(arguments: DoctorArguments) -> Result<(), CommandFailure> {
    let data_dir = arguments.data.data_dir;
    let serves = report_outage(&data_dir)?;
    let engine = StoreEngine::of(&data_dir)?;
    let mut wrong = Vec::new();
    for (file, verdict) in blocking::run(|| check_pages(&data_dir))?? {
        let line = format!("{}: {verdict}", shown(&engine, file));
        print_line(&line)?;
        if verdict != "ok" {
            wrong.push(line);
        }
    }
    if let Some(fault) = blocking::run(|| counter_fault(&data_dir))?? {
        print_line(&format!("incarnation: {fault}"))?;
        wrong.push(fault);
    }
    let moment = if arguments.at_rest {
        Moment::Rest
    } else {
        Moment::Any
    };
    let audit = audit::check_invariants(&data_dir, moment)?;
    print_line(&format!(
        "orders: {} confirmed, {} rejected, {} under way, {} parked",
        audit.confirmed, audit.rejected, audit.pending, audit.parked
    ))?;
    wrong.extend(audit.violations);
    let summaries = summaries_of_customers(&data_dir)?;
    if wrong.is_empty() {
        let mut attention = long_wals(&data_dir);
        attention.extend(summaries);
        attention.extend(parked_orders(audit.parked));
        return print_attention(&attention, serves, &engine);
    }
    let restore = match engine {
        StoreEngine::Sqlite => {
            "keep a copy of the files with their -wal and -shm; if pages are broken, stop the cluster and \
             restore the newest backup: all four files together, with no -wal and -shm of the old ones left \
             beside them"
        }
        StoreEngine::Postgres(_) => {
            "keep a copy of the server's directory; if pages are broken, stop the cluster and restore all \
             four databases as of one instant (`cluster backup` says how)"
        }
    };
    Err(CommandFailure(
        Exit::BadData,
        format!("{}\n{restore}", wrong.join("\n")),
    ))
}

/// How a database is called where people look for it.
fn shown(engine: &StoreEngine, file: &'static str) -> String {
    match engine {
        StoreEngine::Sqlite => file.to_owned(),
        StoreEngine::Postgres(place) => {
            let service = file.trim_end_matches(".db");
            let url = place.urls.get(service).map_or("?", String::as_str);
            let (url, _) = url.split_once('?').unwrap_or((url, ""));
            let name = url.rsplit('/').next().unwrap_or(url);
            format!("{service} at PostgreSQL ({name})")
        }
    }
}

/// What is sound and should be looked at all the same.
fn print_attention(attention: &[String], serves: bool, engine: &StoreEngine) -> Result<(), CommandFailure> {
    for what in attention {
        print_line(&format!("attention: {what}"))?;
    }
    print_line(match (attention, serves, engine) {
        ([], true, _) => "all is well",
        (_, _, StoreEngine::Sqlite) => "the files are sound",
        (_, _, StoreEngine::Postgres(_)) => "the databases are sound",
    })?;
    Ok(())
}

/// Says so when no worker of the running cluster can serve; whether any can. Nothing is said of a cluster that
/// does not run, or whose run directory is elsewhere.
fn report_outage(data_dir: &Path) -> Result<bool, CommandFailure> {
    let status = ControlRequest::new(ControlCommand::Status);
    let answer = client::ask(&data_dir.join("run"), &status);
    let refuses = matches!(answer, Ok(ControlAnswer::Status(status)) if status.master.refuses);
    if refuses {
        print_line(
            "attention: no worker of the cluster can serve, because they keep dying, and a stub answers 503 (`why \
             SLOT` shows how they died)",
        )?;
    }
    Ok(!refuses)
}

/// Says how the summaries of customers stand; what is wrong with them, which costs no order.
fn summaries_of_customers(data_dir: &Path) -> Result<Vec<String>, CommandFailure> {
    let Some(found) = blocking::run(|| read_model::check(data_dir))?? else {
        print_line("customers.db: not built yet")?;
        return Ok(Vec::new());
    };
    print_line(&found.standing)?;
    Ok(found.wrong)
}

/// The orders that wait for a person.
fn parked_orders(parked: usize) -> Option<String> {
    let orders = match parked {
        0 => return None,
        1 => "1 order is parked and waits".to_owned(),
        many => format!("{many} orders are parked and wait"),
    };
    Some(format!(
        "{orders} for a person (`sagas list --parked` shows which, `sagas show` why)"
    ))
}

/// The write-ahead logs that are unusually long, and who keeps them.
fn long_wals(data_dir: &Path) -> Vec<String> {
    let files = [orders::FILE, inventory::FILE, payments::FILE, sandbox::FILE];
    let long = files.into_iter().filter_map(|file| {
        let database = data_dir.join(file);
        let bytes = wal_bytes(&database);
        let text = || storage_watch::note(file, bytes, &wal_readers(&database));
        (bytes >= LONG_WAL_BYTES).then(text)
    });
    long.collect()
}

/// What is wrong with the incarnation counter. The orders are read first, because a master raises the counter
/// before its workers write.
async fn counter_fault(data_dir: &Path) -> Result<Option<String>, StorageError> {
    let newest = OrdersReader::open(data_dir).await?.newest_incarnation().await?;
    Ok(consistency::counter_fault(data_dir, newest))
}

/// Checks every page of each database: its file, and `ok` or what is broken.
async fn check_pages(data_dir: &Path) -> Result<[(&'static str, String); 4], StorageError> {
    Ok([
        (
            orders::FILE,
            OrdersReader::open(data_dir).await?.check_pages().await?,
        ),
        (
            inventory::FILE,
            InventoryReader::open(data_dir).await?.check_pages().await?,
        ),
        (
            payments::FILE,
            PaymentsReader::open(data_dir).await?.check_pages().await?,
        ),
        (
            sandbox::FILE,
            LedgerReader::open(data_dir).await?.check_pages().await?,
        ),
    ])
}
