//! The state that one master hands to the next.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _accepted = cluster::fuzzing::upgrade_state(bytes);
});
