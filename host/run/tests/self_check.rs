//! What `retune self-check` compares, on the CPU. A binary of its own, because how the CPU computes is the process's choice; tests
//! take turns for the same reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use retune_run::self_check::table::table;
use retune_run::self_check::{Finding, families, fixtures, kernels};
use retune_tensor::Device;
use retune_train::model::family::FAMILIES;
use serde_json::Value;

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn assert_all_hold(findings: &[Finding]) {
    println!("{}", table(findings).join("\n"));
    assert!(findings.iter().all(Finding::holds), "{}", table(findings).join("\n"));
}

/// The names of checks, and how many models or cases each was made for.
fn made(findings: &[Finding]) -> Vec<(String, usize)> {
    let mut made: Vec<(String, usize)> = Vec::new();
    for finding in findings {
        let json: Value = serde_json::from_str(&finding.json()).unwrap();
        let check = json["check"].as_str().unwrap().to_owned();
        match made.iter_mut().find(|(name, _)| *name == check) {
            Some((_, count)) => *count += 1,
            None => made.push((check, 1)),
        }
    }
    made
}

#[test]
fn the_cpus_kernels_agree_with_what_a_gpu_runs() {
    let _turn = turn();
    let findings = kernels::check(&Device::flex()).unwrap();
    assert_all_hold(&findings);
    assert_eq!(made(&findings).iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 1, 10, 10]);
}

#[test]
fn every_family_computes_learns_and_writes_as_a_gpu_does_what_it_does_on_the_cpu() {
    let _turn = turn();
    let findings = families::check(&Device::flex()).unwrap();
    assert_all_hold(&findings);
    let made = made(&findings);
    let (texts, others): (Vec<_>, Vec<_>) = made.iter().partition(|(check, _)| check.starts_with("greedy texts"));
    assert!(others.iter().all(|(_, count)| *count == FAMILIES.len()), "{others:?}");
    // A step, one with activations made twice, three kinds of adapters; and what is kept in bfloat16.
    assert_eq!(others.len(), 5 * 3 + 3, "{others:?}");
    assert_eq!(texts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [10], "ten families write texts");
}

#[test]
fn what_transformers_and_peft_gave_is_what_is_computed_in_both_ways() {
    let _turn = turn();
    let mut findings = Vec::new();
    for name in
        ["adapters", "bert-tiny", "families", "llama-tiny", "llama-tiny-bf16-sharded", "row-tasks", "token-tasks"]
    {
        findings.extend(fixtures::check(&fixture(name), &Device::flex()).unwrap());
    }
    // All but the one that is refused.
    for entry in fs::read_dir(fixture("peft")).unwrap() {
        let place = entry.unwrap().path();
        if !place.ends_with("untied-saved") {
            findings.extend(fixtures::check(&place, &Device::flex()).unwrap());
        }
    }
    assert_all_hold(&findings);
    let made = made(&findings);
    let checks: BTreeSet<&str> = made.iter().map(|(check, _)| check.as_str()).collect();
    for peer in ["transformers", "peft"] {
        for what in ["logits", "loss", "gradients", "losses of 20 steps"] {
            for way in ["", ", as a GPU computes"] {
                assert!(checks.contains(format!("{what} beside {peer}{way}").as_str()), "{what}, {peer}{way}");
            }
        }
    }
    assert_eq!(checks.len(), 16, "{checks:?}");
    let logits = made.iter().find(|(check, _)| check == "logits beside transformers").unwrap();
    assert!(logits.1 > 60, "{} models", logits.1);
}

#[test]
fn texts_of_language_models_are_those_of_transformers() {
    let _turn = turn();
    // As the folder of `cargo xtask gpu-check` lays them out.
    let place = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let to = place.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(fixture(name), to).unwrap();
    };
    copy("generation/tiny.json");
    for family in ["gemma2", "gpt2", "mistral"] {
        ["config.json", "model.safetensors", "expected.safetensors"]
            .into_iter()
            .for_each(|file| copy(&format!("families/{family}/{file}")));
    }
    let findings = fixtures::check(place.path(), &Device::flex()).unwrap();
    assert_all_hold(&findings);
    let texts: Vec<_> = made(&findings).into_iter().filter(|(check, _)| check.starts_with("texts")).collect();
    assert_eq!(texts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [3, 3]);

    // Another text is found.
    let file = place.path().join("generation/tiny.json");
    let mut all: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let id = all["mistral"][0]["ids"][3].as_u64().unwrap();
    all["mistral"][0]["ids"][3] = Value::from((id + 1) % 60);
    fs::write(&file, all.to_string()).unwrap();
    let findings = fixtures::check(place.path(), &Device::flex()).unwrap();
    let failed: Vec<&Finding> = findings.iter().filter(|finding| !finding.holds()).collect();
    assert_eq!(failed.len(), 2, "in both ways");
    assert!(failed.iter().all(|finding| finding.json().contains("\"of\":\"mistral\"")));
}
