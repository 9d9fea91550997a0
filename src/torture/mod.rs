//! `cluster torture`: starts a cluster of its own in a scratch directory, places orders from a seeded
//! workload, and injects faults meanwhile. Then it lets the cluster come to rest and reaches a verdict from
//! records that do not trust each other. It is a client of the program: it starts the same binary, speaks
//! HTTP to it and signals its processes; of the shop it knows the routes, the databases and the audit.

mod chaos;
mod client;
mod client_log;
mod cluster;
mod disk;
mod editor;
mod evidence;
mod grpc;
mod http;
mod options;
mod read_model;
mod server;
mod subscriber;
mod tamper;
mod verdict;
mod workload;
mod workspace;

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::CommandFactory;

use crate::base::exit::Exit;
use crate::shop::recovery::clock::now_ms;
use crate::worker::{AppCommand, print_clap, print_error, print_line};
use client_log::ClientLog;
use cluster::TorturedCluster;
use disk::SmallDisk;
use options::TortureOptions;
use server::TorturedServer;
use subscriber::ReadingMode;
use verdict::TortureVerdict;
use workload::Workload;

/// `torture`, for [`crate::App::commands`].
pub const COMMAND: AppCommand = AppCommand {
    name: "torture",
    about: "Start a cluster of its own, break everything on purpose, and prove that no order was harmed",
    arguments: Some(TortureOptions::command),
    run,
};

/// How many orders are compared over HTTP, at rest, with what their clients were told. All orders are then
/// compared in the database, which is faster.
const COMPARED_OVER_HTTP: usize = 5_000;
/// How long a cluster may take to come to rest.
const REST_TIMEOUT: Duration = Duration::from_secs(90);

fn run(arguments: Vec<OsString>) -> Exit {
    let options = match TortureOptions::parse(arguments) {
        Ok(options) => options,
        Err(error) => return print_clap(&error),
    };
    match torture(&options) {
        Ok(verdict) => {
            if let Err(error) = print_line(&verdict.print(options.json)) {
                print_error(&format!("cluster torture: {error}"));
                return Exit::Failed;
            }
            verdict.exit()
        }
        Err(error) => {
            print_error(&format!("cluster torture: {error}"));
            Exit::Failed
        }
    }
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum TortureError {
    #[error("failed to prepare {path}: {reason}")]
    Scratch { path: String, reason: std::io::Error },
    #[error("failed to start a cluster to torture: {0}")]
    Start(String),
    #[cfg(feature = "postgres")]
    #[error("failed to move the databases to files: {0}")]
    Move(String),
    #[error("{0}")]
    Tamper(String),
}

fn torture(options: &TortureOptions) -> Result<TortureVerdict, TortureError> {
    let workload = Workload::new(options.seed, options.declines);
    let server = server(options)?;
    let workspace = workspace::prepare(options, &workload, server.as_ref())?;
    print_error(&format!(
        "torture: seed {}, {} s, in {}",
        options.seed,
        options.secs,
        workspace.display()
    ));
    let disk = small_disk(options, &workspace);
    let cluster = TorturedCluster::start(&workspace, disk, server).map_err(TortureError::Start)?;
    let log = ClientLog::default();
    let (began, duration) = (Instant::now(), Duration::from_secs(options.secs));
    let stop = AtomicBool::new(false);
    let (counts, last_fault, subscribers) = std::thread::scope(|scope| {
        let (cluster, stop) = (&cluster, &stop);
        let modes = [ReadingMode::Pages, ReadingMode::Stream];
        let subscribers = modes.map(|mode| scope.spawn(move || subscriber::run(mode, cluster, stop)));
        for number in 0..options.clients {
            let (workload, log) = (&workload, &log);
            scope.spawn(move || client::run(number, workload, cluster, log, stop));
        }
        for number in 0..options.editors {
            let (workload, log) = (&workload, &log);
            scope.spawn(move || editor::run(number, workload, cluster, log, stop));
        }
        let restarts = scope.spawn(move || restart(options, cluster, began));
        let mut counts = chaos::inject(options, cluster, &log, began + duration);
        match restarts
            .join()
            .unwrap_or_else(|_| Err("the restarts panicked".to_owned()))
        {
            Ok(restarts) => counts.restarts = restarts,
            Err(error) => log.complain(error),
        }
        let last_fault = now_ms();
        stop.store(true, Ordering::Release);
        (counts, last_fault, subscribers.map(|thread| thread.join()))
    });
    let rested = cluster.rest(Instant::now() + REST_TIMEOUT);
    let entries = log.entries();
    let lost: Vec<String> = entries
        .iter()
        .step_by(entries.len() / COMPARED_OVER_HTTP + 1)
        .filter_map(|entry| client::contradiction(entry, &cluster))
        .collect();
    let summaries = read_model::contradictions(&cluster, &entries);
    let seen = subscribers.into_iter().flatten();
    let missed: Vec<String> = seen
        .flat_map(|log| subscriber::contradictions(log, &cluster, &entries))
        .collect();
    let stopped = cluster.stop();
    if options.postgres.is_some() {
        bring_to_files(&workspace.join(workspace::DATA))?;
    }
    if let Some(tampering) = options.tamper {
        tampering
            .tamper(&workspace.join(workspace::DATA))
            .map_err(TortureError::Tamper)?;
    }
    let wrong = [rested, stopped]
        .into_iter()
        .flatten()
        .chain(lost)
        .chain(summaries)
        .chain(missed)
        .collect();
    let verdict = verdict::reach(
        options,
        &workspace,
        cluster.disk(),
        &workload,
        &log,
        (counts, last_fault),
        wrong,
    );
    verdict.tidy(options, &workspace, cluster.disk());
    Ok(verdict)
}

/// Restarts the server as often as the options say.
fn restart(options: &TortureOptions, cluster: &TorturedCluster, began: Instant) -> Result<u32, String> {
    let duration = Duration::from_secs(options.secs);
    cluster
        .server()
        .map_or(Ok(0), |server| server.restart(options.restarts, began, duration))
}

/// The server that the options name.
fn server(options: &TortureOptions) -> Result<Option<TorturedServer>, TortureError> {
    let Some(url) = &options.postgres else {
        return Ok(None);
    };
    if cfg!(not(feature = "postgres")) {
        let reason = "this program was built without the feature `postgres`";
        return Err(TortureError::Start(reason.to_owned()));
    }
    let server = TorturedServer::new(url, options.restart_server.clone());
    server.map(Some).map_err(TortureError::Start)
}

/// Moves the databases of a stopped cluster to files, where the verdict looks at them.
fn bring_to_files(data: &Path) -> Result<(), TortureError> {
    #[cfg(feature = "postgres")]
    crate::shop::bring_to_files(data).map_err(TortureError::Move)?;
    let _ = data;
    Ok(())
}

/// Mounts the small disk. Must run before a second thread starts, because the kernel refuses it then.
fn small_disk(options: &TortureOptions, workspace: &Path) -> Option<SmallDisk> {
    if options.full_disks == 0 {
        return None;
    }
    if options.postgres.is_some() {
        print_error("torture: no disk is filled, because the databases are not in files");
        return None;
    }
    match SmallDisk::mount(&workspace.join(workspace::DATA)) {
        Ok(disk) => Some(disk),
        Err(reason) => {
            print_error(&format!(
                "torture: no disk is filled, the system does not allow a small one ({reason})"
            ));
            None
        }
    }
}
