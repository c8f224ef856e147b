//! Bodies in chunks, as they go on to a client.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    traffic::proxy::compare::passed_on(bytes);
});
