//! A worker's life: boot, connections, drain, beats; and the library's face, [`App`] and [`Worker`]. It must not know the shop,
//! nor what the master decides.
//!
//! Reading order: `run` → `environment` → `booting` → `serving` → `draining` are the phases; `door` → `drive` → `edge` →
//! `limits` is the way of a request, `routes` where it is counted; `annex` are the doors of other slots, `admin` the door of whoever watches; `connections` and `connection` are what is known about who is there, `places` how many that may be, `overdue` how long each may take.

mod access;
mod admin;
mod annex;
mod app;
mod beat;
mod body;
mod booting;
mod command;
mod connection;
mod connections;
mod door;
mod draining;
mod drill;
mod drive;
mod edge;
mod environment;
mod handle;
mod health;
mod http2;
mod identity;
mod lifeline;
mod limits;
mod listener;
mod notify;
mod overdue;
mod pipeline;
mod places;
mod preface;
mod routes;
mod run;
mod serving;
mod signals;
mod spare;
mod wire;

pub use app::{App, BootError, BootRefused, CheckHook};
pub use command::{AppCommand, complain, explain};
pub use handle::{Haste, SectionError, Worker};
pub use identity::Identity;
pub use run::{is_asked_for, run};
