//! The application as its `main` describes it. It must not know where it will run: the same description makes the master and
//! every worker.

use std::future::Future;
use std::pin::Pin;

use axum::Router;

use super::command::AppCommand;
use super::handle::Worker;
use crate::base::exit::Exit;
use crate::config::{Section, Settings};

/// What a boot hook fails with; any error converts with `?`, any text with `.into()`.
pub type BootError = Box<dyn std::error::Error + Send + Sync>;

/// A boot error that chooses its exit code: [`Exit::BadData`] or [`Exit::Unwritable`], say, where a person has to do something
/// before another try can succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BootRefused {
    /// How the worker ends.
    pub exit: Exit,
    /// Why, for the log.
    pub reason: String,
}

/// Says why these settings are impossible for the application; asked by `check`, at start and before each reload, in the master.
pub type CheckHook = fn(&Settings) -> Result<(), String>;

pub(super) type BootHook =
    Box<dyn FnOnce(Worker) -> Pin<Box<dyn Future<Output = Result<Router, BootError>>>>>;
pub(super) type ExitHook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>>>;

/// An application: a name, and how a worker of it boots.
///
/// ```no_run
/// use axum::{Router, routing::get};
///
/// let app = cluster::App::new("hello").boot(|worker| async move {
///     let me = format!("hello from {}\n", worker.identity().life);
///     Ok(Router::new().route("/", get(async move || me.clone())))
/// });
/// ```
pub struct App {
    name: &'static str,
    about: &'static str,
    version: &'static str,
    sections: &'static [Section],
    check: Option<CheckHook>,
    commands: &'static [AppCommand],
    pub(super) boot: Option<BootHook>,
    pub(super) on_exit: Option<ExitHook>,
}

impl App {
    /// An application with that name, which serves nothing yet.
    #[must_use]
    pub fn new(name: &'static str) -> App {
        App {
            name,
            about: "A supervised cluster of worker processes",
            version: env!("CARGO_PKG_VERSION"),
            sections: &[],
            check: None,
            commands: &[],
            boot: None,
            on_exit: None,
        }
    }

    /// What it does, in one line, for the help text.
    #[must_use]
    pub fn about(mut self, about: &'static str) -> App {
        self.about = about;
        self
    }

    /// Its version, for `--version`; this library's when not told.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> App {
        self.version = version;
        self
    }

    /// Owns these sections of the configuration file: their keys are checked like the supervisor's own, and read with
    /// [`Worker::section`].
    #[must_use]
    pub fn sections(mut self, sections: &'static [Section]) -> App {
        self.sections = sections;
        self
    }

    /// Says whether settings are possible, beyond what the supervisor checks itself. It runs in the master, so it must be
    /// quick, must not start threads, and must not open the application's files.
    #[must_use]
    pub fn check(mut self, check: CheckHook) -> App {
        self.check = Some(check);
        self
    }

    /// Brings commands of its own to the command line, beside `serve` and the others of the supervisor.
    #[must_use]
    pub fn commands(mut self, commands: &'static [AppCommand]) -> App {
        self.commands = commands;
        self
    }

    /// Makes the routes of one worker. It runs in the worker's runtime, before the worker is ready; what it opens is opened
    /// after `exec`. An error ends the worker with [`Exit::BootFailed`], or the code of a [`BootRefused`].
    #[must_use]
    pub fn boot<F, Fut>(mut self, boot: F) -> App
    where
        F: FnOnce(Worker) -> Fut + 'static,
        Fut: Future<Output = Result<Router, BootError>> + 'static,
    {
        self.boot = Some(Box::new(|worker| Box::pin(boot(worker))));
        self
    }

    /// Runs after the drain, before the process ends, within what is left of `drain_timeout`. A crash does not run it.
    #[must_use]
    pub fn on_exit<F, Fut>(mut self, hook: F) -> App
    where
        F: FnOnce() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.on_exit = Some(Box::new(|| Box::pin(hook())));
        self
    }

    /// What the command line prints of it: name, one line, version.
    pub(crate) fn labels(&self) -> [&'static str; 3] {
        [self.name, self.about, self.version]
    }

    /// Its own commands.
    pub(crate) fn own_commands(&self) -> &'static [AppCommand] {
        self.commands
    }

    /// Its sections of the configuration, and its check of the settings.
    pub(crate) fn configuration(&self) -> (&'static [Section], Option<CheckHook>) {
        (self.sections, self.check)
    }
}
