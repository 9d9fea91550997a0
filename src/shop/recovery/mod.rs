//! What keeps the shop right when processes die: who lives, who is fenced off, who takes over, and which
//! clock dates it. It must not know the insides of any service.

pub mod clock;
#[cfg(feature = "postgres")]
pub(super) mod host_lease;
#[cfg(feature = "postgres")]
mod lease_watch;
pub(super) mod liveness;
pub(super) mod maintenance;
pub(super) mod steady_clock;
pub(super) mod storage_watch;
pub(super) mod takeover;
