//! Service info from a device, against an owner with every module.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fdo_fuzz::service_info(data));
