//! The edge's vocabulary: problem documents and what a router answers when it knows no better. It knows nothing of the shop.

mod fallbacks;
mod framing;
mod host;
mod problem;

pub use fallbacks::fallbacks;
pub use framing::framing_problem;
pub use host::host_problem;
pub use problem::Problem;
