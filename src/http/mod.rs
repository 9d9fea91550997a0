//! Problem documents, the fallbacks of a router, the checks of a request's framing and host, and who may do
//! what only internal clients may. It must not know the shop.

mod fallbacks;
mod framing;
#[cfg(feature = "grpc")]
mod grpc_status;
mod host;
mod internal;
mod problem;
mod request_context;

pub use fallbacks::fallbacks;
pub use framing::framing_problem;
#[cfg(feature = "grpc")]
pub use grpc_status::grpc_code_of;
pub use host::host_problem;
pub use internal::{InternalGuard, InternalListener, TokenFileError};
pub use problem::Problem;
