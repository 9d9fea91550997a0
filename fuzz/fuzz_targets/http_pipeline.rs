//! What an HTTP/1.1 client sends, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _accepted = cluster::fuzzing::http_pipeline(bytes);
});
