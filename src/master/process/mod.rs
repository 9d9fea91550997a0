//! Worker processes: `generation` and `policy` say what is started, `executable` where the binary is found,
//! `cpus` how many are started, `spawn` starts one with its `environment`, `worker_process` is one process,
//! `messages` and `line_splitter` read what it sends, `evidence` and `violations` judge what it does.

pub mod cpus;
pub(super) mod environment;
pub(super) mod evidence;
pub(super) mod executable;
pub(super) mod generation;
pub(super) mod line_splitter;
pub(super) mod messages;
pub mod policy;
pub(super) mod spawn;
pub(super) mod stub;
pub(super) mod violations;
pub(super) mod worker_process;

pub(super) use worker_process::{StderrTail, WorkerFacts, WorkerProcess};
