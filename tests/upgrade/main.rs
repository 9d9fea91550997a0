//! The master becomes another binary in place: real masters, real workers, real signals; and nobody notices.

#[path = "../common/mod.rs"]
mod common;
#[path = "../control/gestures.rs"]
#[expect(dead_code, reason = "only some of the gestures are needed here")]
mod gestures;

mod around;
mod bad;
mod carried;
mod load;
mod scenes;
