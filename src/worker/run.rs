//! From `exec` to exit: the phases of a worker, one after the other.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use super::app::App;
use super::booting::{Booted, Booting};
use super::command::print_error;
use super::environment::{self, Environment, EnvironmentError, LogTarget};
use super::program::{RunProgram, WorkerExit};
use super::signals::Terminations;
use crate::base::exit::Exit;
use crate::config::LogFormat;
use crate::observe;
use crate::sys::{isolation, limits, signals};

/// The time that the log has for the last lines.
const LAST_LINES: Duration = Duration::from_millis(100);

/// Whether this process was started to be a worker: `CLUSTER_WORKER=1`.
#[must_use]
pub fn is_asked_for() -> bool {
    std::env::var_os("CLUSTER_WORKER").is_some_and(|value| value == "1")
}

/// Why this process cannot be a worker.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("its environment is not that of a worker: {0}")]
    Environment(#[from] EnvironmentError),
    #[error("it cannot log: {0}")]
    Log(#[from] observe::LogInitError),
    #[error("the system refused what a worker needs: {0}")]
    System(#[from] io::Error),
}

impl WorkerError {
    fn exit(&self) -> Exit {
        match self {
            WorkerError::System(error) if limits::is_exhaustion(error) => Exit::NoResources,
            WorkerError::Environment(_) | WorkerError::Log(_) | WorkerError::System(_) => Exit::NoWorker,
        }
    }
}

/// Runs this process as a worker, to its end: of the application, or, when the settings say so, of a program.
/// The code is one of [`Exit`], or that of the program.
pub(crate) fn run(app: App, run_program: RunProgram) -> ExitCode {
    let exit = run_phases(app, run_program).unwrap_or_else(|reason| {
        print_error(&format!(
            "cluster: this process was asked to be a worker (CLUSTER_WORKER=1), but {reason}. Workers are \
             started by their master, which sets CLUSTER_*, LISTEN_FDS, LISTEN_PID and NOTIFY_SOCKET; start the \
             program without CLUSTER_WORKER to get a master with its workers."
        ));
        WorkerExit::Own(reason.exit())
    });
    observe::finish(LAST_LINES);
    match exit {
        WorkerExit::Own(exit) => exit.into(),
        WorkerExit::Code(code) => ExitCode::from(code),
        WorkerExit::Signal(signal) => signals::die_of(signal as i32),
    }
}

fn run_phases(mut app: App, run_program: RunProgram) -> Result<WorkerExit, WorkerError> {
    if environment::is_of_another_user() {
        isolation::deny_debuggers()?;
    }
    let terminations = Terminations::catch()?;
    let environment = Environment::read()?;
    start_log(&environment)?;
    let logs_elsewhere = !matches!(environment.log, LogTarget::Stderr);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(async {
        let booting = Booting::new(environment, terminations)?;
        if booting.runs_a_program() {
            return Ok(booting.run_program(run_program).await);
        }
        let served = match booting.boot(&mut app).await {
            Ok(Booted::Serving(serving)) => serving.serve().await,
            Ok(Booted::NeverServed) => return Ok(WorkerExit::Own(Exit::Stopped)),
            Err(failure) => Err(failure),
        };
        match served {
            Ok(draining) => Ok(WorkerExit::Own(draining.drain(app.on_exit.take()).await)),
            Err(failure) => {
                tracing::error!("failed to boot: {failure}");
                // The master shows what was printed last to the person who asked for the reload.
                if logs_elsewhere {
                    print_error(&format!("failed to boot: {failure}"));
                }
                Ok(WorkerExit::Own(failure.exit()))
            }
        }
    });
    // Tasks that are left were cut. Blocking tasks are not waited for.
    runtime.shutdown_background();
    code
}

fn start_log(environment: &Environment) -> Result<(), observe::LogInitError> {
    let log = &environment.settings.log;
    let who = format!("worker {}", environment.identity.life);
    let stderr = io::stderr();
    let (fd, format) = match &environment.log {
        LogTarget::Stderr => (stderr.as_fd(), log.format),
        LogTarget::Direct(fd) => (fd.as_fd(), log.format),
        LogTarget::Relayed(fd) => (fd.as_fd(), LogFormat::Json),
    };
    observe::init(fd, format, log.level, who)?;
    observe::log_panics();
    Ok(())
}
