//! Request heads: to two readers, and as they go on to an upstream.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    traffic::proxy::compare::head(bytes, usize::from(cut).min(bytes.len()));
    traffic::proxy::compare::forwarded(bytes);
});
