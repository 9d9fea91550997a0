//! A worker's life: boot, connections, drain, beats; and the library's face, [`App`] and [`Worker`]. It must
//! not know the shop, nor what the master decides.
//!
//! Reading order: `run` → `environment` → `booting` → `serving` → `draining` are the phases of a worker.
//! `accept::acceptor` → `connection::drive` → `request::edge` → `request::limits` is the way of a request;
//! `request::routes` counts it. `accept::adopted` serves the queues of other slots, `admin` answers metrics
//! and health. `connection::connections` lists the open connections, `connection::state` is the state of one,
//! `connection::overdue` its time-outs; `accept::capacity` limits their number. `stub` is another process: it
//! refuses in the workers' place while none can serve.

mod accept;
mod admin;
mod app;
mod beat;
mod booting;
mod command;
mod connection;
mod draining;
mod environment;
mod flags;
mod handle;
mod identity;
mod lifeline;
mod log_output;
mod notify;
mod request;
mod run;
mod serving;
mod signals;
mod stub;

pub use app::{App, BootError, BootRefused, CheckHook};
pub use command::AppCommand;
pub(crate) use command::print_clap;
#[cfg(feature = "shop")]
pub(crate) use command::{print_error, print_line};
#[cfg(any(test, fuzzing))]
pub(crate) use connection::fuzz_pipeline;
#[cfg(feature = "shop")]
pub(crate) use environment::master_name;
pub use flags::FlagsError;
pub use handle::{SectionError, Worker};
pub use identity::Identity;
pub use log_output::log_output;
pub use request::client_address::ClientAddress;
pub use run::is_asked_for;
pub(crate) use run::run;
pub(crate) use stub::{is_stub_asked_for, run_stub};
