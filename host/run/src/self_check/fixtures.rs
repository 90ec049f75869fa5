//! Folders with what transformers and peft gave, beside what the device gives.
//!
//! A folder is looked through with all that lie in it. Where one has `generation/tiny.json`, the language models of
//! `families/` beside it are asked to continue its texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_tensor::Device;
use retune_train::TrainError;
use retune_train::generation::{GenerationSpec, generate};
use retune_train::model::{Base, Model, Task};
use serde::Deserialize;

use super::continuation::shortfall;
use super::finding::Finding;
use super::fixture::Fixture;
use super::parity;
use super::tolerance::{Way, sums};

/// Texts of language models, by the folder of the model below [`MODELS`].
const TEXTS: &str = "generation/tiny.json";
const MODELS: &str = "families";

/// A text that transformers continued.
#[derive(Debug, Deserialize)]
struct Text {
    prompt: Vec<u32>,
    ids: Vec<u32>,
    max_new_tokens: usize,
    #[serde(default)]
    min_new_tokens: usize,
    #[serde(default)]
    repetition_penalty: Option<f64>,
}

/// Compares all that lies in `folder`.
///
/// # Errors
/// When nothing lies there, something of it cannot be read, or the device fails.
pub fn check(folder: &Path, device: &Device) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    find(folder, &mut found)?;
    let texts = folder.join(TEXTS);
    if found.is_empty() && !texts.is_file() {
        return Err(Diagnostic::new(format!("`{}` holds nothing to compare with", folder.display())).help(
            "name a folder with `expected.safetensors` beside a model or an adapter, or one around such folders: \
             `tests/fixtures/families` of retune's source, for example",
        ));
    }
    let mut findings = Vec::new();
    for place in &found {
        findings.extend(parity::check(&Fixture::read(place)?, device)?);
    }
    if texts.is_file() {
        findings.extend(continued(folder, &texts, device)?);
    }
    Ok(findings)
}

/// Folders with something to compare with, in the order of their names.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if Fixture::is_one(folder) {
        found.push(folder.to_owned());
        return Ok(());
    }
    let unreadable = |error| unreadable(folder, &error);
    let entries = fs::read_dir(folder).map_err(unreadable)?.collect::<std::io::Result<Vec<_>>>();
    let mut below: Vec<PathBuf> = entries.map_err(unreadable)?.iter().map(fs::DirEntry::path).collect();
    below.sort();
    below.iter().filter(|path| path.is_dir()).try_for_each(|path| find(path, found))
}

/// The texts of a file, continued by the models beside it.
fn continued(folder: &Path, file: &Path, device: &Device) -> Result<Vec<Finding>> {
    let failed =
        |error: &dyn std::fmt::Display| Diagnostic::new(format!("cannot compare {}", file.display())).because(error);
    let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
    let all: BTreeMap<String, Vec<Text>> = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
    let mut findings = Vec::new();
    for (name, texts) in &all {
        // Some lie beside the families.
        let places = [folder.join(MODELS).join(name), folder.join(name)];
        let Some(place) = places.iter().find(|place| place.is_dir()) else { continue };
        for way in Way::of(device) {
            let _taken = way.take();
            let (model, _) = Model::load(&Base::Directory(place.clone()), &Task::CausalLm, 0, device)
                .map_err(|error| failed(&error))?;
            let worst =
                texts.iter().try_fold(0.0f64, |worst, text| Ok::<_, TrainError>(worst.max(off(&model, place, text)?)));
            let check = format!("texts beside transformers{}: parted by logits", way.suffix());
            findings.push(Finding::difference(check, name, worst.map_err(|error| failed(&error))?, sums(device)));
        }
    }
    Ok(findings)
}

fn off(model: &Model, place: &Path, text: &Text) -> std::result::Result<f64, TrainError> {
    let (mut spec, _) = GenerationSpec::of_model(place)?;
    // A small GPT-2 names OpenAI's end token, which its vocabulary does not have.
    spec.eos_token_id.retain(|id| (*id as usize) < model.config().shape.vocab_size);
    spec.max_new_tokens = text.max_new_tokens;
    spec.min_new_tokens = text.min_new_tokens;
    spec.repetition_penalty = text.repetition_penalty.unwrap_or(1.0);
    let found = generate(model, std::slice::from_ref(&text.prompt), &spec, None, 1)?;
    let found = found.into_iter().next().map_or_else(Vec::new, |text| text.ids);
    shortfall(model, &text.prompt, &text.ids, &spec, found)
}
