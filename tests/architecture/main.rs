//! The architecture as tests: who may import whom, what is pure, which names and sizes are allowed. The
//! limits that still have to fall are in `limits.rs`.

mod checker;
mod circles;
mod dependencies;
mod file_modes;
mod formats;
mod layers;
mod limits;
mod log_fields;
mod modules;
mod names;
mod sizes;
mod source;
mod tokens;
