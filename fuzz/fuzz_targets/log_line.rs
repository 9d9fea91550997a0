//! A log line that a worker of another user sent to the master.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _accepted = cluster::fuzzing::log_line(bytes);
});
