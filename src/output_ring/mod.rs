//! The last lines that a worker's program printed: one sealed memory file per life, written by that life's
//! worker alone, read by the master as if hostile, also after the worker's death. It must not know where else
//! the lines go, nor who wants them.

pub mod layout;
mod mapping;
mod ring;
mod view;

pub use mapping::OutputRingError;
pub use ring::OutputRing;
pub use view::{OutputLine, OutputLines, OutputStream, OutputView};
