//! What a Node program writes to its channel.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _accepted = cluster::fuzzing::node_channel(bytes);
});
