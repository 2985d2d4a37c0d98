//! Vouchers as bytes and as files: decoding and verification.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fdo_fuzz::vouchers(data));
