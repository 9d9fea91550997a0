//! The master becomes another binary in place: real masters, real workers, real signals; and nobody notices.

mod around;
mod bad;
mod carried;
mod load;
mod scenes;
