//! A worker's life: boot, connections, drain, beats; and the library's face, [`App`] and [`Worker`]. It must
//! not know the shop, nor what the master decides.
//!
//! Reading order: `run` → `environment` → `booting` → `serving` → `draining` are the phases of a worker.
//! `accept::acceptor` → `connection::drive` → `request::edge` → `request::limits` is the way of a request;
//! `request::routes` counts it. A call of gRPC takes `request::grpc` in place of `request::limits`; `grpc`
//! has the services of every server. `accept::adopted` serves the queues of other slots, `admin` answers
//! metrics and health. `connection::connections` lists the open connections, `connection::state` is the state
//! of one, `connection::overdue` its time-outs; `accept::capacity` limits their number. `stub` is another
//! process: it refuses in the workers' place while none can serve.

mod accept;
mod admin;
mod app;
mod beat;
mod boot_wait;
mod booting;
mod command;
mod connection;
mod drain_mode;
mod draining;
mod environment;
mod flags;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "grpc")]
mod grpc_services;
mod handle;
mod identity;
mod late_boot;
mod lending;
mod lifeline;
mod log_output;
mod notify;
mod program;
mod request;
mod run;
mod serving;
mod signals;
mod stub;

pub(crate) use accept::adopted::AdoptionRequest;
pub use app::{App, BootError, BootRefused, CheckHook};
pub(crate) use beat::RegularWork;
pub use command::AppCommand;
#[cfg(feature = "shop")]
pub(crate) use command::print_line;
pub(crate) use command::{print_clap, print_error};
#[cfg(any(test, fuzzing))]
pub(crate) use connection::fuzz_pipeline;
#[cfg(feature = "shop")]
pub(crate) use environment::master_name;
pub use flags::FlagsError;
#[cfg(feature = "grpc")]
pub use grpc_services::GrpcServices;
pub use handle::Worker;

pub use crate::config::SectionError;
pub use identity::Identity;
pub(crate) use lending::{Lending, LendingAnswer};
pub use log_output::log_output;
pub(crate) use notify::Notify;
pub(crate) use program::{DrainLimits, NamedListener, OutputDescriptors, ProgramWorker, WorkerExit};
pub use request::client_address::ClientAddress;
pub use run::is_asked_for;
pub(crate) use run::run;
pub(crate) use stub::{is_stub_asked_for, run_stub};
