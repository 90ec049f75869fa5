//! libFuzzer calls `retune_tests::fuzz::tokenizer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| retune_tests::fuzz::tokenizer(data));
