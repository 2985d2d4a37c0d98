//! Every message's decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fdo_fuzz::messages(data));
