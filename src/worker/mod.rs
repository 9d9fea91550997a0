//! A worker's life: boot, connections, drain, beats; and the library's face, [`App`] and [`Worker`]. It must not know the shop,
//! nor what the master decides.

mod app;
pub mod exit;
mod handle;
mod identity;

pub use app::{App, BootError, CheckHook};
pub use handle::{Haste, SectionError, Worker};
pub use identity::Identity;
