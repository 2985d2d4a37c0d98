//! Encrypted messages of every suite and form.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fdo_fuzz::tunnel(data));
