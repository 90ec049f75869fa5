//! libFuzzer calls `retune_tests::fuzz::component`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retune_tests::fuzz::component(data));
