//! Components of which only the exports are honest, with a core module that `wasm-smith` makes of bytes.
//!
//! The module is any valid one without imports; it is instantiated, so that its memories, tables, data and start function are met
//! before the first call. The same bytes make the same component. It is put behind the sections of the honest part, as a section of
//! its own and one that instantiates it.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

/// Section of a core module, and of core instances.
const MODULE: u8 = 1;
const INSTANCES: u8 = 2;

/// The component `honest` with a module made of `bytes`; nothing when these make none.
pub fn component(honest: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let config = Config { max_imports: 0, min_imports: 0, export_everything: true, ..Config::default() };
    let module = Module::new(config, &mut Unstructured::new(bytes)).ok()?.to_bytes();
    let mut made = honest.to_vec();
    section(&mut made, MODULE, &module);
    let mut instance = vec![1, 0];
    number(&mut instance, modules(honest)?);
    instance.push(0);
    section(&mut made, INSTANCES, &instance);
    Some(made)
}

/// How many core modules a component has.
fn modules(component: &[u8]) -> Option<usize> {
    let (mut rest, mut count) = (component.get(8..)?, 0);
    while let [kind, after @ ..] = rest {
        count += usize::from(*kind == MODULE);
        let digits = after.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let length = after[..digits].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        rest = after.get(digits + length..)?;
    }
    Some(count)
}

fn section(component: &mut Vec<u8>, kind: u8, content: &[u8]) {
    component.push(kind);
    number(component, content.len());
    component.extend_from_slice(content);
}

/// LEB128.
fn number(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The bytes number `seed` (SplitMix64), as many as a module of some functions takes.
pub fn bytes(seed: u64) -> Vec<u8> {
    let word = |at: u64| {
        let mut z = (seed << 32 | at).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31).to_le_bytes()
    };
    (0..128 + seed * 8).flat_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_put_behind_what_is_there_and_instantiated() {
        let honest = b"\0asm\x0d\0\x01\0".to_vec();
        let made = component(&honest, &bytes(3)).unwrap();
        assert!(made.starts_with(&honest) && modules(&made) == Some(1));
        assert!(made.ends_with(&[INSTANCES, 4, 1, 0, 0, 0]));
        assert_eq!(Some(made), component(&honest, &bytes(3)));
    }
}
