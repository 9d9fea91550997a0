//! The application as its `main` describes it. The description must not know where it will run: the master
//! and every worker are made of the same one.

use std::future::Future;
use std::pin::Pin;

use axum::Router;

use super::command::AppCommand;
use super::flags::AddFlags;
use super::handle::Worker;
use crate::base::exit::Exit;
use crate::config::{Section, Settings};

/// Why an application could not boot. Any error converts with `?`, any text with `.into()`.
pub type BootError = Box<dyn std::error::Error + Send + Sync>;

/// A boot error that chooses the exit code of the worker. A code such as [`Exit::BadData`] or
/// [`Exit::Unwritable`] says that a person must do something before another try can succeed.
///
/// ```
/// use cluster::base::exit::Exit;
/// use cluster::worker::{BootError, BootRefused};
///
/// fn open(path: &str) -> Result<std::fs::File, BootError> {
///     let refused = |error| BootRefused { exit: Exit::BadData, reason: format!("{path}: {error}") };
///     Ok(std::fs::File::open(path).map_err(refused)?)
/// }
/// assert!(open("/does/not/exist").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BootRefused {
    /// The exit code of the worker.
    pub exit: Exit,
    /// The reason, for the log.
    pub reason: String,
}

/// Checks settings and says why they are impossible. See [`App::check`].
pub type CheckHook = fn(&Settings) -> Result<(), String>;

pub(super) type BootFuture = Pin<Box<dyn Future<Output = Result<Router, BootError>>>>;
pub(super) type BootHook = Box<dyn FnOnce(Worker) -> BootFuture>;
pub(super) type ExitHook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>>>;

/// An application: a name, and a function that makes the routes of one worker.
///
/// ```no_run
/// use axum::{Router, routing::get};
///
/// fn main() -> std::process::ExitCode {
///     cluster::App::new("hello")
///         .boot(|worker| async move {
///             let text = format!("hello from worker {}\n", worker.identity().life);
///             Ok(Router::new().route("/", get(async move || text.clone())))
///         })
///         .run()
/// }
/// ```
pub struct App {
    name: &'static str,
    about: &'static str,
    version: &'static str,
    sections: &'static [Section],
    check: Option<CheckHook>,
    commands: &'static [AppCommand],
    flags: Option<AddFlags>,
    runs_programs: bool,
    /// The values of the application's own flags, in a worker.
    pub(super) given: Option<clap::ArgMatches>,
    /// Whether handlers are given the address of their client.
    pub(super) connect_info: bool,
    pub(super) boot: Option<BootHook>,
    pub(super) on_exit: Option<ExitHook>,
}

impl App {
    /// An application of that name, which serves nothing yet.
    #[must_use]
    pub fn new(name: &'static str) -> App {
        App {
            name,
            about: "A supervised cluster of worker processes",
            version: env!("CARGO_PKG_VERSION"),
            sections: &[],
            check: None,
            commands: &[],
            flags: None,
            runs_programs: false,
            given: None,
            connect_info: false,
            boot: None,
            on_exit: None,
        }
    }

    /// What the application does, in one line, for the help text.
    #[must_use]
    pub fn about(mut self, about: &'static str) -> App {
        self.about = about;
        self
    }

    /// The version that `--version` prints; this library's when not set.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> App {
        self.version = version;
        self
    }

    /// The application's own sections of the configuration file. Their keys are checked like the supervisor's
    /// own. A worker reads a section with [`Worker::section`].
    ///
    /// ```
    /// use cluster::config::{Key, Kind, Section};
    ///
    /// const GREETING: Section = Section {
    ///     name: "greeting",
    ///     doc: "What the visitors read.",
    ///     keys: &[Key::new("text", Kind::Text, "hello", "The text of every answer.")],
    /// };
    /// let app = cluster::App::new("greeting").sections(&[GREETING]);
    /// ```
    #[must_use]
    pub fn sections(mut self, sections: &'static [Section]) -> App {
        self.sections = sections;
        self
    }

    /// Checks settings beyond what the supervisor checks itself. The hook runs in the master: at the start,
    /// before each reload and in the command `check`. So it must be quick, must not start threads, and must
    /// not open the application's files.
    ///
    /// ```
    /// use cluster::config::Settings;
    ///
    /// fn check(settings: &Settings) -> Result<(), String> {
    ///     match settings.http.max_body_bytes {
    ///         0..=4096 => Ok(()),
    ///         bytes => Err(format!("http.max_body_bytes is {bytes}, expected at most 4096: lower it")),
    ///     }
    /// }
    /// let app = cluster::App::new("greeting").check(check);
    /// ```
    #[must_use]
    pub fn check(mut self, check: CheckHook) -> App {
        self.check = Some(check);
        self
    }

    /// The application's own commands, beside `serve` and the others of the supervisor. See [`AppCommand`].
    #[must_use]
    pub fn commands(mut self, commands: &'static [AppCommand]) -> App {
        self.commands = commands;
        self
    }

    /// The application's own flags, beside those of the supervisor: `serve` and `check` take them and show
    /// them in their help. In a worker, [`Worker::flags`] has their values. A flag is a part of the command
    /// line, so a reload cannot change it; what a reload is to change is a key of a [section](App::sections).
    ///
    /// The type is one of clap 4. A flag that the supervisor has already makes clap panic in a debug build.
    ///
    /// ```
    /// #[derive(clap::Args)]
    /// struct Flags {
    ///     /// Whom every answer greets.
    ///     #[arg(long, default_value = "world")]
    ///     whom: String,
    /// }
    ///
    /// let app = cluster::App::new("greeting").flags::<Flags>().boot(|worker| async move {
    ///     let Flags { whom } = worker.flags()?;
    ///     let greet = async move || format!("hello, {whom}\n");
    ///     Ok(axum::Router::new().route("/", axum::routing::get(greet)))
    /// });
    /// ```
    #[must_use]
    pub fn flags<F: clap::Args>(mut self) -> App {
        self.flags = Some(F::augment_args);
        self
    }

    /// Adds the command `run`, which starts a cluster whose workers run a program of the user's in place of
    /// this application's routes: `hello run -- node app.js`. A configuration with `run.command` does the
    /// same. The application is not booted then, and its own sections of the configuration are not read.
    ///
    /// ```
    /// let app = cluster::App::new("hello").with_run_command();
    /// ```
    #[must_use]
    pub fn with_run_command(mut self) -> App {
        self.runs_programs = true;
        self
    }

    /// Gives handlers the address of their client, as `axum::serve` does for a service that was made with
    /// connect info: `ConnectInfo<SocketAddr>` on TCP, and `ConnectInfo<ClientAddress>` on TCP and unix
    /// sockets. It costs each request an allocation or two, so it is off unless asked for.
    ///
    /// Behind a proxy this is the address of the proxy. Headers such as `X-Forwarded-For` are not read,
    /// because anyone can send them.
    ///
    /// ```
    /// use axum::{Router, extract::ConnectInfo, routing::get};
    /// use cluster::worker::ClientAddress;
    ///
    /// async fn who(ConnectInfo(client): ConnectInfo<ClientAddress>) -> String {
    ///     format!("you are {client}\n")
    /// }
    ///
    /// let app = cluster::App::new("who")
    ///     .connect_info()
    ///     .boot(|_worker| async { Ok(Router::new().route("/", get(who))) });
    /// ```
    #[must_use]
    pub fn connect_info(mut self) -> App {
        self.connect_info = true;
        self
    }

    /// Makes the routes of one worker. The hook runs in the worker, before the worker is ready; the master
    /// runs none of it. An error ends the worker with [`Exit::BootFailed`], or with the code of a
    /// [`BootRefused`].
    #[must_use]
    pub fn boot<F, Fut>(mut self, boot: F) -> App
    where
        F: FnOnce(Worker) -> Fut + 'static,
        Fut: Future<Output = Result<Router, BootError>> + 'static,
    {
        self.boot = Some(Box::new(|worker| Box::pin(boot(worker))));
        self
    }

    /// Runs in each worker after its drain, before the process ends. The hook has what is left of
    /// `drain_timeout`. A crash does not run it.
    ///
    /// ```
    /// let app = cluster::App::new("hello").on_exit(|| async { println!("flushed") });
    /// ```
    #[must_use]
    pub fn on_exit<F, Fut>(mut self, hook: F) -> App
    where
        F: FnOnce() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        self.on_exit = Some(Box::new(|| Box::pin(hook())));
        self
    }

    /// The name, the line about it and the version, as the command line prints them.
    pub(crate) fn labels(&self) -> [&'static str; 3] {
        [self.name, self.about, self.version]
    }

    /// Adds the application's own flags to a command; `None` when it has none.
    pub(crate) fn own_flags(&self) -> Option<AddFlags> {
        self.flags
    }

    /// The values of the application's own flags, for [`Worker::flags`].
    pub(crate) fn give_flags(&mut self, given: clap::ArgMatches) {
        self.given = Some(given);
    }

    /// Whether the application has the command `run`.
    pub(crate) fn runs_programs(&self) -> bool {
        self.runs_programs
    }

    /// The application's own commands.
    pub(crate) fn own_commands(&self) -> &'static [AppCommand] {
        self.commands
    }

    /// The application's sections of the configuration, and its check of the settings.
    pub(crate) fn configuration(&self) -> (&'static [Section], Option<CheckHook>) {
        (self.sections, self.check)
    }
}
