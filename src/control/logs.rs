//! What `logs` asks and answers: the lines that the programs of a cluster have printed, as far as the rings
//! of their workers still hold them, and where the client has to go on.

use serde::{Deserialize, Serialize};

use crate::base::ids::Life;
use crate::output_ring::OutputLine;

/// How far a client has read what one life printed: it goes on with the line of this number. On the wire it
/// is a list of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPosition(pub Life, pub u64);

/// The answer to `logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputReport {
    /// The workers that live, and those that have ended lately.
    pub lives: Vec<LifeOutput>,
}

/// What the program of one life printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeOutput {
    /// The life of the worker.
    pub life: Life,
    /// The process id of its program; `None` before the program was started.
    pub pid: Option<i32>,
    /// The number of lines since the client's position that were overwritten by later ones.
    pub lost: u64,
    /// The client's next position.
    pub next: u64,
    /// The lines, the oldest first.
    pub lines: Vec<OutputLine>,
}
