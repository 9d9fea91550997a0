//! The first phase: everything is inherited, nothing is served. Only [`Booting::boot`] makes a [`Serving`].

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::accept::acceptor::{AcceptContext, Acceptor};
use super::accept::listener::Listener;
use super::admin::Admin;
use super::app::App;
use super::beat::beat;
use super::connection::connections::Connections;
use super::drain_mode::DrainMode;
use super::environment::Environment;
use super::handle::Worker;
use super::late_boot::{BootFailure, LateBoot, edge_of};
use super::lifeline::{CommandReader, CommandStreams};
use super::notify::Notify;
use super::program::{NamedListener, OutputDescriptors, ProgramWorker, RunProgram, WorkerExit};
use super::request::edge::{Edge, EdgeFeatures};
use super::serving::Serving;
use super::signals::Terminations;
use crate::lifeline::WorkerEnd;
use crate::scoreboard::Cell;

/// A worker before its application is there.
pub(super) struct Booting {
    worker: Worker,
    listeners: Vec<NamedListener>,
    admin: Option<Listener>,
    notify: Notify,
    connections: Arc<Connections>,
    runtime_cell: Cell,
    commands: CommandReader,
    output: OutputDescriptors,
    beats: JoinHandle<()>,
    begun: Instant,
}

/// How a boot ended.
pub(super) enum Booted {
    /// The application has booted, and the master knows.
    Serving(Box<Serving>),
    /// The worker was told to end before the application had booted.
    NeverServed,
}

impl Booting {
    /// Takes everything over. To be called inside the runtime.
    pub(super) fn new(environment: Environment, terminations: Terminations) -> io::Result<Booting> {
        let Environment {
            identity,
            settings,
            listeners,
            admin,
            notify,
            board,
            lifeline,
            log: _,
            output,
        } = environment;
        let connections = Arc::new(Connections::new(board.clone(), &settings.http));
        let runtime_cell = board.cell("runtime").expect("a new board has free cells");
        let worker = Worker::new(identity, settings, board);
        let admin = admin.map(Listener::new).transpose()?;
        let commands = CommandReader::start(WorkerEnd::new(lifeline)?, worker.clone());
        tokio::spawn(terminate(terminations, worker.clone()));
        let beats = tokio::spawn(beat(
            worker.clone(),
            runtime_cell.clone(),
            Arc::clone(&connections),
        ));
        Ok(Booting {
            worker,
            listeners,
            admin,
            notify,
            connections,
            runtime_cell,
            commands,
            output,
            beats,
            begun: Instant::now(),
        })
    }

    /// Lets the application boot, begins to accept, and tells the master.
    pub(super) async fn boot(self, app: &mut App) -> Result<Booted, BootFailure> {
        if let Some(given) = app.given.take() {
            self.worker.give_flags(given);
        }
        let hook = app.boot.take().ok_or(BootFailure::NoHook)?;
        let features = EdgeFeatures {
            is_watched: self.admin.is_some(),
            connect_info: app.connect_info,
        };
        let mut hook = hook(self.worker.clone());
        let booted = tokio::select! {
            biased;
            () = self.worker.draining() => return Ok(Booted::NeverServed),
            router = &mut hook => Some(router.map_err(BootFailure::Hook)?),
            () = self.worker.boot_wait().begun() => None,
        };
        let (edge, late) = match booted {
            Some(router) => {
                self.worker.has_booted();
                (edge_of(&self.worker, router, features), None)
            }
            None => {
                let edge = Arc::new(Edge::waiting(self.worker.clone(), features));
                (Arc::clone(&edge), Some(LateBoot { hook, edge, features }))
            }
        };
        let context = Arc::new(AcceptContext::new(edge, Arc::clone(&self.connections)));
        let acceptors = self
            .listeners
            .into_iter()
            .map(|listener| Ok(Acceptor::new(Listener::new(listener.fd)?, Arc::clone(&context))))
            .collect::<io::Result<_>>()
            .map_err(BootFailure::Listener)?;
        let CommandStreams { adoptions, link, .. } = self.commands.booted();
        let admin = self
            .admin
            .map(|listener| Admin::new(listener, self.worker.clone(), link));
        // The first beat must be there before the master looks for it.
        self.runtime_cell.stamp();
        let serving = Serving::open(
            self.worker,
            self.notify,
            context,
            (acceptors, adoptions, admin),
            (self.begun, late),
        );
        Ok(Booted::Serving(Box::new(serving)))
    }

    /// Whether the settings name a program that is to run in place of the application.
    pub(super) fn runs_a_program(&self) -> bool {
        self.worker.settings().run.is_asked_for()
    }

    /// Runs the program of the settings to its end.
    pub(super) async fn run_program(self, run: RunProgram) -> WorkerExit {
        let CommandStreams {
            adoptions,
            link,
            lending,
            output_files,
        } = self.commands.booted();
        let admin = self
            .admin
            .map(|listener| tokio::spawn(Admin::new(listener, self.worker.clone(), link).run()));
        let exit = run(ProgramWorker {
            worker: self.worker,
            listeners: self.listeners,
            notify: self.notify,
            cell: self.runtime_cell,
            beats: self.beats,
            adoptions,
            lending,
            output: self.output,
            output_files,
        })
        .await;
        if let Some(admin) = admin {
            admin.abort();
        }
        exit
    }
}

async fn terminate(terminations: Terminations, worker: Worker) {
    match terminations.wait().await {
        Ok(()) => worker.drain(DrainMode::Patient),
        Err(error) => worker.fail(format!("SIGTERM cannot be watched: {error}")),
    }
}
