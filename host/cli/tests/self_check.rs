//! `retune self-check` as a user calls it: its table, and what it says when something is wrong.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn check(arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_retune")).arg("self-check").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

/// Two models of the fixtures; of the second the last logit is another one.
fn one_right_and_one_wrong() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for name in ["qwen2-classifier", "mistral-classifier"] {
        let to = place.path().join("models").join(name);
        std::fs::create_dir_all(&to).unwrap();
        for file in ["config.json", "model.safetensors", "expected.safetensors"] {
            std::fs::copy(fixtures("families").join(name).join(file), to.join(file)).unwrap();
        }
    }
    let file = place.path().join("models/mistral-classifier/expected.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let offsets: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let end = 8 + header + offsets["logits"]["data_offsets"][1].as_u64().unwrap() as usize;
    bytes[end - 4..end].copy_from_slice(&7.0f32.to_le_bytes());
    std::fs::write(&file, bytes).unwrap();
    place
}

/// Numbers that differ from machine to machine are left out.
fn without_numbers(text: &str) -> String {
    let number = |word: &str| word.parse::<f64>().is_ok() && (word.contains('.') || word == "0");
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| if number(word) { "N" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_device_that_computes_right_gets_a_table_and_one_that_does_not_is_told_with_the_next_step() {
    let place = one_right_and_one_wrong();
    let right =
        check(&["--device", "cpu", "--fixtures", place.path().join("models/qwen2-classifier").to_str().unwrap()]);
    assert_eq!(right.code, 0, "{}{}", right.out, right.err);
    let out = without_numbers(&right.out);
    let out: Vec<&str> = out.lines().skip(1).collect();
    insta::assert_snapshot!(out.join("\n"), @"
    
    compared of largest at most result
    logits beside transformers N N ok
    loss beside transformers N N ok
    gradients beside transformers N N ok
    losses of 20 steps beside transformers N N ok
    logits beside transformers, as a GPU computes N N ok
    loss beside transformers, as a GPU computes N N ok
    gradients beside transformers, as a GPU computes N N ok
    losses of 20 steps beside transformers, as a GPU computes N N ok

    all 8 comparisons hold
    ");

    let wrong = check(&["--device", "cpu", "--fixtures", place.path().to_str().unwrap()]);
    assert_eq!(wrong.code, 1);
    let out = without_numbers(&wrong.out);
    let out: Vec<&str> = out.lines().filter(|line| line.contains("logits") || line.contains('/')).collect();
    insta::assert_snapshot!(out.join("\n"), @"
    logits beside transformers 2 N N FAILED: 1 of 2
    models/mistral-classifier: N
    logits beside transformers, as a GPU computes 2 N N FAILED: 1 of 2
    models/mistral-classifier: N
    ");
    let machine = check(&["--device", "cpu", "--step-config", "nothing.json"]).out;
    let err = wrong.err.replace(machine.lines().next().unwrap(), "DEVICE");
    insta::assert_snapshot!(err, @"
    × 2 of 16 comparisons failed on DEVICE
    help: do not train on this device: its results would be wrong
          report it with the output of `retune self-check --json`, when the folders of `--fixtures` are as they came
    ");

    let json = check(&["--device", "cpu", "--json", "--fixtures", place.path().to_str().unwrap()]);
    let rows: Vec<serde_json::Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<_> = rows.iter().filter(|row| row["ok"] == false).map(|row| row["of"].as_str().unwrap()).collect();
    assert_eq!(failed, ["models/mistral-classifier"; 2], "in both ways in which a CPU computes");
}

#[test]
fn what_cannot_be_checked_is_refused_with_the_way_out() {
    let place = tempfile::tempdir().unwrap();
    let nothing = check(&["--device", "cpu", "--fixtures", place.path().to_str().unwrap()]);
    let missing = check(&["--device", "cpu", "--fixtures", place.path().join("here").to_str().unwrap()]);
    std::fs::create_dir(place.path().join("half")).unwrap();
    std::fs::write(place.path().join("half/config.json"), "{}").unwrap();
    std::fs::write(place.path().join("half/expected.safetensors"), "cut").unwrap();
    let broken = check(&["--device", "cpu", "--fixtures", place.path().to_str().unwrap()]);
    let refused = check(&["--device", "cpu", "--fixtures", fixtures("peft/untied-saved").to_str().unwrap()]);
    assert!([&nothing, &missing, &broken, &refused].iter().all(|said| said.code == 1));
    let said = [nothing.err, missing.err, broken.err].join("\n").replace(place.path().to_str().unwrap(), "PLACE");
    insta::assert_snapshot!(said, @"
    × `PLACE` holds nothing to compare with
    help: name a folder with `expected.safetensors` beside a model or an adapter, or one around such folders: `tests/fixtures/families` of retune's source, for example

    × `PLACE/here` does not exist

    × cannot compare PLACE/half: header too small
    help: its `expected.safetensors` is cut short or no such file; copy the folder again from retune's source
    ");
    assert!(refused.err.contains("cannot compare") && refused.err.contains("untied-saved"), "{}", refused.err);
    assert_eq!(check(&["--device", "gpux"]).code, 2);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_gpu_is_refused_by_a_build_that_has_none() {
    let said = check(&["--device", "cuda:0"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("build it with `--features cuda`"), "{}", said.err);
    assert!(said.err.contains("`retune doctor` shows what this machine has"), "{}", said.err);
}
