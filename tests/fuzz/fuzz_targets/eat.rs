//! Signed objects and entity attestation tokens.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fdo_fuzz::eat(data));
