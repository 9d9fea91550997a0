//! The one `main` of an application: the same program is command line, master and worker, and its environment
//! says which.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use crate::agent;
use crate::base::exit::Exit;
use crate::cli::{self, Program};
use crate::config::settings::LogSettings;
use crate::config::{Effective, LogFormat, Settings};
use crate::master::{self, Launch, MasterEnd, ProcessRole, StartError};
use crate::observe;
use crate::pool::Outcome;
use crate::sys::signals;
use crate::worker::{self, App};

/// How long a log that is not read may hold up the end.
const LAST_LINES: Duration = Duration::from_millis(100);

impl App {
    /// The whole `main` of an application. In a process that a master started as a worker it lives as one; in
    /// any other it does what the command line asks for: serve as the master, check the configuration, print
    /// help.
    #[must_use]
    pub fn run(self) -> ExitCode {
        signals::ignore_file_size_signal();
        if worker::is_stub_asked_for() {
            return worker::run_stub();
        }
        let program = self.program();
        if worker::is_asked_for() {
            return self.run_worker(&program);
        }
        match master::process_role() {
            ProcessRole::Normal => cli::run(&program, std::env::args_os(), serve),
            ProcessRole::Rehearsal(arguments) => master::rehearse(cli::launch(&program, arguments)),
            ProcessRole::Master => go_on(&program),
        }
        .into()
    }

    fn program(&self) -> Program {
        let ([name, about, version], (sections, check)) = (self.labels(), self.configuration());
        Program {
            name,
            about,
            version,
            sections,
            check,
            commands: self.own_commands(),
            flags: self.own_flags(),
            runs_programs: self.runs_programs(),
        }
    }

    /// A worker has the command line of its master.
    fn run_worker(mut self, program: &Program) -> ExitCode {
        if self.own_flags().is_some() {
            match cli::args::serve_flags(program, std::env::args_os()) {
                Ok(given) => self.give_flags(given),
                Err(error) => return worker::print_clap(&error).into(),
            }
        }
        worker::run(self, agent::run)
    }
}

/// Another binary was the master of this process until now.
fn go_on(program: &Program) -> Exit {
    observe::log_panics();
    let launch = match cli::launch(program, std::env::args_os()) {
        Ok(launch) => launch,
        Err(error) => {
            let reason = format!("{error}; the workers finish what they accepted and end");
            observe::print_fatal(LogFormat::Auto, &reason);
            return Exit::Usage;
        }
    };
    let logs = Cell::new(false);
    let log = |log: &LogSettings| {
        logs.set(true);
        // Without a log the workers are still worth a master.
        let _logs = start_log(log);
    };
    let ended = master::go_on(launch, log);
    if !logs.get() {
        // It failed before it could read how the cluster logs.
        log(&Settings::default().log);
    }
    finish(ended)
}

fn serve(launch: Launch, effective: Effective) -> Exit {
    let log = &effective.settings.log;
    if !start_log(log) {
        return Exit::Failed;
    }
    observe::log_panics();
    if let Some(reason) = agent::never_starts(&effective.settings) {
        tracing::error!("{reason}");
        observe::finish(LAST_LINES);
        return Exit::BadConfig;
    }
    finish(master::run(launch, effective))
}

/// Starts the log on stderr; returns whether that was possible.
fn start_log(log: &LogSettings) -> bool {
    let started = observe::init(std::io::stderr().as_fd(), log.format, log.level, observe::MASTER);
    if let Err(error) = &started {
        observe::print_fatal(log.format, &format!("failed to log to stderr: {error}"));
    }
    started.is_ok()
}

fn finish(ended: Result<MasterEnd, StartError>) -> Exit {
    let exit = match ended {
        Ok(end) => exit_of(end),
        Err(error) => {
            tracing::error!("{error}");
            error.exit()
        }
    };
    observe::finish(LAST_LINES);
    exit
}

/// A boot that fails for a reason only a person can mend ends the master with the worker's own code.
fn exit_of(end: MasterEnd) -> Exit {
    let reason = end
        .last_code
        .and_then(Exit::from_code)
        .filter(|exit| exit.needs_a_person());
    match end.outcome {
        Outcome::Stopped => Exit::Stopped,
        Outcome::Cut => Exit::Cut,
        Outcome::NeverReady => reason.unwrap_or(Exit::NeverReady),
    }
}
