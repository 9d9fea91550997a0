//! Problem documents, the fallbacks of a router, and the checks of a request's framing and host. It must not
//! know the shop.

mod fallbacks;
mod framing;
mod host;
mod problem;

pub use fallbacks::fallbacks;
pub use framing::framing_problem;
pub use host::host_problem;
pub use problem::Problem;
