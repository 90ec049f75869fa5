//! Whether a directory holds a model for a task, found out from `config.json` and the headers of its files.
//!
//! It is asked before rows are prepared, which takes long and needs no model; [`Model::load`](super::Model::load)
//! makes the same checks again, and looks at the values. Price: the headers are read twice.

use std::collections::BTreeSet;
use std::path::Path;

use super::adapter::AdapterSpec;
use super::adapter::placements::Placements;
use super::inventory::{Entry, Inventory};
use super::network::{Network, Purpose};
use super::tensor_files::TensorFiles;
use super::{ModelConfig, ModelError, Task};
use crate::memory;
use retune_roles::TaskKind;
use retune_tensor::{Device, device::is_host};

/// Refuses an adapter that does not fit the model, and a checkpoint whose files are cut short, lack a tensor of the network, or hold one of another shape or in a
/// format that is not read. Labels are not known yet, so the head that is made for them is not looked at.
///
/// # Errors
/// Names the file, the tensor, and what was expected.
pub fn check_files(directory: &Path, task: TaskKind, adapter: Option<&AdapterSpec>) -> Result<(), ModelError> {
    let mut config = ModelConfig::read(directory)?;
    let files = TensorFiles::open(directory)?;
    let labels = if task.info().has_labels { vec!["a".to_owned(), "b".to_owned()] } else { Vec::new() };
    let task = task.with_labels(labels);
    let (table, family) = (config.shape.embeddings.tokens, config.family);
    if let Some((name, tied)) = tied_head(&mut config, &task) {
        *tied &= !files.has_another_head(name, table, family);
    }
    let prefix = config.family.prefix;
    let mut inventory = Inventory::default();
    Network::describe(&config.shape, prefix, purpose(&config, &task)?, config.unlearnt_token, &mut inventory);
    if let Some(spec) = adapter {
        placements(spec, &inventory, &config, &task, Some(&files))?;
    }
    let for_labels = |entry: &Entry| task.info().has_labels && entry.head && !entry.name.starts_with(prefix);
    inventory.entries.retain(|entry| !for_labels(entry));
    let plan = files.plan(&inventory.entries, &config, &task)?;
    files.refuse_lost(&plan.unused, &config)
}

/// Where the adapter that `spec` describes sits in the model of `inventory`.
///
/// # Errors
/// Names what of it takes nothing, and refuses to train a token table apart from the masked head that it is: `peft` and a merged
/// model would have to hold two, and the bias of the head is called otherwise then.
pub(super) fn placements(
    spec: &AdapterSpec,
    inventory: &Inventory,
    config: &ModelConfig,
    task: &Task,
    files: Option<&TensorFiles>,
) -> Result<Placements, ModelError> {
    let always = whole_with_adapter(inventory, config, task, files)?;
    let names: Vec<&str> = inventory.entries.iter().map(|entry| entry.name.as_str()).collect();
    let placements = Placements::of(spec, &inventory.modules, &names, always)?;
    if *task == Task::MaskedLm
        && let Some(head) = config.shape.masked_head.filter(|head| head.tied)
    {
        let table = format!("{}{}", config.family.prefix, config.shape.embeddings.tokens);
        let key = match (placements.get(&table), placements.is_whole(&format!("{table}.weight"))) {
            (Some(_), _) => Some("target_modules"),
            (None, true) => Some("modules_to_save"),
            (None, false) => None,
        };
        if let Some(key) = key {
            let problem = format!("`{table}` is `{}` as well (tie_word_embeddings), and stays as it is", head.name);
            let help = "leave the token table out, or train the model without an adapter";
            return Err(ModelError::adapter(key, problem, help));
        }
    }
    Ok(placements)
}

/// Names of the parameters that are trained whole beside an adapter, whatever its specification says: the head that is made for
/// a task's labels, and what the checkpoint lacks.
fn whole_with_adapter(
    inventory: &Inventory,
    config: &ModelConfig,
    task: &Task,
    files: Option<&TensorFiles>,
) -> Result<BTreeSet<String>, ModelError> {
    let head = config.classifier_of(task).unwrap_or(config.shape.classifier.name);
    let head = head.split('.').next().unwrap_or_default();
    let of_head = |entry: &&Entry| {
        let rest = entry.name.strip_prefix(head);
        task.kind().info().has_labels && entry.head && rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let mut whole: BTreeSet<String> =
        inventory.entries.iter().filter(of_head).map(|entry| entry.name.clone()).collect();
    if let Some(files) = files {
        let plan = files.plan(&inventory.entries, config, task)?;
        let new = inventory.entries.iter().zip(&plan.sources).filter(|(_, source)| source.is_none());
        whole.extend(new.map(|(entry, _)| entry.name.clone()));
    }
    Ok(whole)
}

/// What the network is for.
pub(super) fn purpose(config: &ModelConfig, task: &Task) -> Result<Purpose, ModelError> {
    let refuse = |reason| ModelError::Config { path: config.path.clone(), key: "model_type".into(), reason };
    match task {
        Task::SequenceClassification { labels } if labels.len() < 2 => {
            let found = labels.len();
            Err(ModelError::request(format!("classification needs at least two labels, found {found}")))
        }
        Task::SequenceClassification { labels } => Ok(Purpose::Classify(labels.len())),
        Task::MultiLabelClassification { labels } if labels.len() < 2 => {
            let found = labels.len();
            Err(ModelError::request(format!("a choice of labels needs at least two of them, found {found}")))
        }
        Task::Regression { outputs } if outputs.is_empty() => {
            Err(ModelError::request("a regression needs at least one number to predict"))
        }
        Task::MultiLabelClassification { labels: outputs } | Task::Regression { outputs } => {
            Ok(Purpose::Classify(outputs.len()))
        }
        Task::CausalLm => config.shape.language_head.map(Purpose::Language).ok_or_else(|| {
            refuse(format!(
                "a {} model sees both sides of a token, so it cannot do causal language modelling; use a model that \
                 predicts the next token, such as one of `llama`, `qwen3` and `gemma3_text`",
                config.family.class
            ))
        }),
        Task::TokenClassification { labels } if labels.len() < 2 => {
            let found = labels.len();
            Err(ModelError::request(format!("token classification needs at least two labels, found {found}")))
        }
        Task::TokenClassification { labels } => {
            let head = config.shape.token_classifier.map(|head| Purpose::Tag(head, labels.len()));
            head.ok_or_else(|| {
                refuse(format!(
                    "transformers has no class of {} models that labels words, so that nothing could load the result; use one of {}",
                    config.family.class,
                    quoted(LABEL_WORDS)
                ))
            })
        }
        Task::MaskedLm => config.shape.masked_head.map(Purpose::Unmask).ok_or_else(|| {
            refuse(format!(
                "a {} model sees only what is before a token, so it cannot do masked language modelling; use one of {}, or \
                 task = \"causal-lm\"",
                config.family.class,
                quoted(UNMASK)
            ))
        }),
    }
}

/// Families whose models find masked tokens.
const UNMASK: &[&str] = &["bert", "distilbert", "modernbert", "roberta", "xlm-roberta"];

/// Families whose models label words.
const LABEL_WORDS: &[&str] = &[
    "bert",
    "distilbert",
    "gemma2",
    "gpt2",
    "llama",
    "mistral",
    "modernbert",
    "phi3",
    "qwen2",
    "qwen3",
    "roberta",
    "smollm3",
    "xlm-roberta",
];

fn quoted(names: &[&str]) -> String {
    format!("`{}`", names.join("`, `"))
}

/// Refuses a model whose values need more memory than the machine has, which would end the process without a word. On another
/// device than the host's only one tensor at a time is here.
///
/// # Errors
/// Names `config.json`, the largest tensor, and both sizes.
pub(super) fn fits_memory(
    entries: &[Entry],
    config: &ModelConfig,
    adapted: bool,
    device: &Device,
) -> Result<(), ModelError> {
    fits(entries, config, adapted, is_host(device), memory::usable())
}

/// The same for a machine with so much memory, where that is known.
fn fits(
    entries: &[Entry],
    config: &ModelConfig,
    adapted: bool,
    on_host: bool,
    usable: Option<u64>,
) -> Result<(), ModelError> {
    let scalars = |entry: &Entry| entry.shape.iter().map(|n| *n as u128).product::<u128>();
    let Some(largest) = entries.iter().max_by_key(|entry| scalars(entry)) else { return Ok(()) };
    // The base of an adapter may stay in half precision.
    let width = if adapted { 2 } else { 4 };
    let bytes = match on_host {
        true => width * entries.iter().map(scalars).sum::<u128>(),
        false => width * scalars(largest),
    };
    match usable {
        Some(usable) if bytes > u128::from(usable) => {
            let gib = |bytes: u128| bytes.div_ceil(1 << 30);
            let (name, shape) = (&largest.name, &largest.shape);
            let reason = format!(
                "the network that it describes needs at least {} GiB of memory for its weights (`{name}` has shape {shape:?}), and \
                 this machine has {} GiB; take a smaller model",
                gib(bytes),
                u128::from(usable) >> 30
            );
            Err(ModelError::file(&config.path, reason))
        }
        _ => Ok(()),
    }
}

/// The head that may be the token table: its name, and whether the config says that it is.
pub(super) fn tied_head<'a>(config: &'a mut ModelConfig, task: &Task) -> Option<(&'static str, &'a mut bool)> {
    let shape = &mut config.shape;
    let head = match task {
        Task::CausalLm => shape.language_head.as_mut().map(|head| (head.name, &mut head.tied)),
        Task::MaskedLm => shape.masked_head.as_mut().map(|head| (head.name, &mut head.tied)),
        Task::SequenceClassification { .. }
        | Task::TokenClassification { .. }
        | Task::MultiLabelClassification { .. }
        | Task::Regression { .. } => None,
    };
    head.filter(|(_, tied)| **tied)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn weights_that_no_memory_holds_are_refused_before_they_are_made() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert-tiny");
        let (config, task) = (ModelConfig::read(&path).unwrap(), Task::MaskedLm);
        let mut inventory = Inventory::default();
        let purpose = purpose(&config, &task).unwrap();
        Network::describe(&config.shape, config.family.prefix, purpose, None, &mut inventory);
        let fits = |on_host, usable| fits(&inventory.entries, &config, false, on_host, usable);
        let needed: u64 = 4 * inventory.entries.iter().map(|e| e.shape.iter().product::<usize>() as u64).sum::<u64>();
        assert!(fits(true, None).is_ok() && fits(true, Some(needed)).is_ok());
        let error = fits(true, Some(needed - 1)).unwrap_err().to_string();
        assert!(error.contains("config.json: the network that it describes needs at least 1 GiB of memory"), "{error}");
        assert!(fits(false, Some(needed - 1)).is_ok(), "one tensor at a time");
        assert!(fits(false, Some(1)).is_err());
    }
}
