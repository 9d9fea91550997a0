//! The ring of a hostile worker's lines.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _accepted = cluster::fuzzing::output_ring(bytes);
});
