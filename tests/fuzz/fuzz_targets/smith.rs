//! libFuzzer calls `retune_tests::fuzz::component` with a module that `wasm-smith` makes of the input, in a component whose
//! exports are honest (`target/plugins/smith/honest.wasm`, made by `cargo xtask plugins`).
#![no_main]

use std::sync::OnceLock;

#[allow(dead_code, reason = "the assembler has bytes of its own")]
#[path = "../../assemble/src/smith.rs"]
mod smith;

fn honest() -> &'static [u8] {
    static READ: OnceLock<Vec<u8>> = OnceLock::new();
    READ.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/plugins/smith/honest.wasm");
        std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}; run `cargo xtask plugins` first"))
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(component) = smith::component(honest(), data) {
        retune_tests::fuzz::component(&component);
    }
});
