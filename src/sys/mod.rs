//! The operating system behind one folder: `unsafe` and raw system calls, one call per function, owned
//! descriptors in and out. It knows no policy.

#![expect(
    unsafe_code,
    reason = "this is the one module that may: the architecture test keeps it so"
)]

pub mod clock;
pub mod credentials;
pub mod descriptors;
pub mod durable;
pub mod exec;
pub mod file_header;
#[cfg(feature = "shop")]
pub mod file_signal;
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
pub mod process_tree;
pub mod procfs;
pub mod readiness;
pub mod schedstat;
pub mod seqpacket;
pub mod signals;
pub mod socket;
#[cfg(feature = "shop")]
pub mod sqlite;
pub mod stream;
pub mod tcp_table;
pub mod thread_cell;
pub mod thread_waits;
pub mod xattr;
