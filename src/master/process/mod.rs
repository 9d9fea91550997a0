//! Worker processes: `generation` and `policy` say what is started, `executable` where the binary is found,
//! `cpus` how many are started, `spawn` starts one with its `environment`, `worker_process` is one process,
//! `worker_output` the ring of its program's last lines, `messages` and `line_splitter` read what it sends,
//! `evidence` and `violations` judge what it does, `strays` and `program_groups` end what it leaves behind.

pub mod cpus;
pub(super) mod environment;
pub(super) mod evidence;
pub(super) mod executable;
pub(super) mod generation;
pub(super) mod line_splitter;
pub(super) mod messages;
pub mod policy;
pub(super) mod program_groups;
pub(super) mod spawn;
pub(super) mod strays;
pub(super) mod stub;
pub(super) mod violations;
pub(super) mod worker_output;
pub(super) mod worker_process;

pub(super) use worker_process::{ListenerRequest, ListenerWish, StderrTail, WorkerFacts, WorkerProcess};
