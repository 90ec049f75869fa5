//! What `retune self-check` compares, on the CPU. A binary of its own, because how the CPU computes is the process's choice.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use retune_run::self_check::{Finding, agreement};
use retune_tensor::Device;

#[test]
fn the_cpu_agrees_with_what_it_computes_as_other_devices_do() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let mut findings = agreement::kernels(&Device::flex()).unwrap();
    for fixture in ["bert-tiny", "llama-tiny", "llama-classifier-tiny"] {
        findings.extend(agreement::one_step(&fixtures.join(fixture), &Device::flex()).unwrap());
    }
    let lines: Vec<String> = findings.iter().map(Finding::line).collect();
    assert!(findings.iter().all(Finding::holds), "{}", lines.join("\n"));
    assert_eq!(findings.len(), 4 + 3 * 5);
}
