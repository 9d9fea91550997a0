//! The operating system behind one folder: `unsafe` and raw system calls, one call per function, owned
//! descriptors in and out. It knows no policy.

#![expect(
    unsafe_code,
    reason = "this is the one module that may: the architecture test keeps it so"
)]

pub mod clock;
pub mod credentials;
pub mod exec;
pub mod inherit;
pub mod isolation;
pub mod kind;
pub mod limits;
pub mod lock;
pub mod memfd;
pub mod memory;
#[cfg(feature = "mutants")]
pub mod mutation;
pub mod notify;
pub mod output;
pub mod paths;
pub mod pidfd;
pub mod private_file;
pub mod process;
pub mod procfs;
pub mod readiness;
pub mod seqpacket;
pub mod signals;
pub mod socket;
#[cfg(feature = "shop")]
pub mod sqlite;
pub mod stream;
pub mod thread_cell;
