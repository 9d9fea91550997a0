//! The operating system behind one folder: `unsafe` and raw system calls, one call per function, owned descriptors in and out.
//! It knows no policy.

pub mod clock;
pub mod inherit;
pub mod memfd;
