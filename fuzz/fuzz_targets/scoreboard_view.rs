//! The scoreboard of a hostile worker.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _accepted = cluster::fuzzing::scoreboard_view(bytes);
});
