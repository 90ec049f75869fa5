//! libFuzzer calls `retune_tests::fuzz::values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retune_tests::fuzz::values(data));
