//! A worker's exit codes. The master reads them into its log; none of them means "do not restart".

/// Drained: everything that was accepted has been answered.
pub const DRAINED: u8 = 0;
/// The drain's time was over and connections were cut; the log says how many and what they were doing.
pub const CUT: u8 = 20;
/// The application's boot hook failed; the log says why.
pub const BOOT_FAILED: u8 = 21;
/// The application asked to be replaced ([`crate::Worker::fail`]), as after a failed fsync.
pub const POISONED: u8 = 22;
/// The environment is not that of a worker, or the system refused what a worker needs (runtime, listeners, scoreboard).
pub const NO_WORKER: u8 = 23;
