//! TO2's owner under messages in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fdo_fuzz::to2_order(data));
