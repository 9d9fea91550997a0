//! A packet between master and worker.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _accepted = cluster::fuzzing::lifeline_packet(bytes);
});
