//! The safetensors files of a checkpoint directory.
//!
//! Only headers are read at first: sizes, shapes and names are all checked before
//! a single weight is. A tensor is then read on its own, so loading never holds
//! more than one of them twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use retune_roles::text::shortened;
use serde_json::Value;

use super::family::Family;
use super::inventory::Entry;
use super::{ModelConfig, ModelError, StoredDtype, Task, stand_in};
use crate::files::tensor_file::{Place, float32, header, stored};
use crate::files::whole::{self, LARGEST_INDEX};

/// Names that are compared with one that is missing: more than any checkpoint has, and what is no name is not compared.
const COMPARED: usize = 10_000;

/// Bytes of the longest of them.
const LONGEST_NAME: usize = 200;

/// Names in a sentence, three at most.
fn some(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Every tensor of a checkpoint, and where it lies.
#[derive(Debug)]
pub(super) struct TensorFiles {
    /// The file or index that was opened, for messages.
    root: PathBuf,
    places: BTreeMap<String, Place>,
}

/// Which tensor feeds which parameter.
#[derive(Debug)]
pub(super) struct Plan {
    /// One an entry: the name in the files, `None` for new parameters.
    pub(super) sources: Vec<Option<String>>,
    pub(super) replaced: Vec<(String, String)>,
    pub(super) unused: Vec<String>,
}

impl TensorFiles {
    /// Reads the headers of `model.safetensors`, or of the shards that
    /// `model.safetensors.index.json` names.
    pub(super) fn open(directory: &Path) -> Result<Self, ModelError> {
        let single = directory.join("model.safetensors");
        let index = directory.join("model.safetensors.index.json");
        if single.is_file() {
            let places = header(&single)?;
            return Ok(Self { root: single, places });
        }
        if index.is_file() {
            return Self::open_shards(directory, index);
        }
        Err(stand_in::no_weights(directory))
    }

    fn open_shards(directory: &Path, index: PathBuf) -> Result<Self, ModelError> {
        let text = whole::read(&index, LARGEST_INDEX).map_err(ModelError::io(&index, "cannot be read"))?;
        let json: Value = serde_json::from_slice(&text).map_err(|e| {
            stand_in::pointer(&index).unwrap_or_else(|| ModelError::file(&index, format!("it is not JSON: {e}")))
        })?;
        let map = json.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| ModelError::file(&index, "it has no `weight_map` object"))?;
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (tensor, shard) in map {
            let shard = shard.as_str().filter(|name| !name.contains(['/', '\\']));
            let shard = shard.ok_or_else(|| {
                let tensor = shortened(tensor, 100);
                ModelError::file(&index, format!("`weight_map.{tensor}` is not the name of a file beside it"))
            })?;
            wanted.entry(shard).or_default().push(tensor);
        }
        let mut places = BTreeMap::new();
        for (shard, tensors) in wanted {
            let path = directory.join(shard);
            let mut found = header(&path)?;
            for tensor in tensors {
                let place = found.remove(tensor).ok_or_else(|| {
                    ModelError::file(
                        &path,
                        format!("tensor `{tensor}` is not there, although {} says so", index.display()),
                    )
                })?;
                places.insert(tensor.to_owned(), place);
            }
        }
        Ok(Self { root: index, places })
    }

    /// Finds a source for every entry and checks its shape and number format.
    pub(super) fn plan(&self, entries: &[Entry], config: &ModelConfig, task: &Task) -> Result<Plan, ModelError> {
        let prefix = config.family.prefix;
        self.check_sizes(config)?;
        let mut plan = Plan { sources: Vec::new(), replaced: Vec::new(), unused: Vec::new() };
        let mut used = BTreeSet::new();
        for entry in entries {
            if entry.adapter {
                plan.sources.push(None);
                continue;
            }
            let Some((name, place)) = self.find(&entry.name, config.family) else {
                if !entry.head {
                    return Err(self.missing(entry, prefix));
                }
                plan.sources.push(None);
                continue;
            };
            used.insert(name);
            // Not a projection before it, which says nothing of single classes.
            if entry.head
                && let Some(classifier) = config.classifier_of(task)
                && entry.name.strip_prefix(classifier).is_some_and(|rest| rest.starts_with('.'))
                && let Some(reason) = head_is_for_another_task(place, entry, config, task)
            {
                plan.replaced.push((entry.name.clone(), reason));
                plan.sources.push(None);
                continue;
            }
            if place.info.shape != entry.shape {
                return Err(ModelError::TensorShape {
                    path: place.file.clone(),
                    tensor: name.to_owned(),
                    found: place.info.shape.clone(),
                    expected: entry.shape.clone(),
                });
            }
            stored(place, name)?;
            plan.sources.push(Some(name.to_owned()));
        }
        plan.unused = self
            .places
            .keys()
            .filter(|name| !used.contains(name.as_str()) && !derived(name, config))
            .cloned()
            .collect();
        Ok(plan)
    }

    /// Refuses a `config.json` with other sizes than the weights have, by the name of the key.
    fn check_sizes(&self, config: &ModelConfig) -> Result<(), ModelError> {
        let (family, shape) = (config.family, &config.shape);
        let number = |name: &String| {
            let bare = name.strip_prefix(family.prefix).unwrap_or(name);
            let (number, _) = bare.strip_prefix(shape.blocks)?.strip_prefix('.')?.split_once('.')?;
            number.parse::<usize>().ok()
        };
        // Without any it is another kind of model, of which the first tensor that is missing tells more.
        let blocks = self.places.keys().filter_map(number).max().map(|last| last.saturating_add(1));
        let table = self.find(&format!("{}{}.weight", family.prefix, shape.embeddings.tokens), family);
        config.compare(&self.root, blocks, table.map(|(_, place)| place.info.shape.as_slice()))
    }

    /// A parameter under its own name, without the base model's prefix (a checkpoint of the base model alone), or
    /// with an ending that some checkpoints spell otherwise.
    fn find(&self, name: &str, family: &Family) -> Option<(&str, &Place)> {
        let bare = name.strip_prefix(family.prefix).unwrap_or(name);
        let other = |name: &str| {
            let (ours, theirs) = family.aliases.iter().find(|(ours, _)| name.ends_with(ours))?;
            Some(format!("{}{theirs}", name.strip_suffix(ours)?))
        };
        let candidates = [Some(name.to_owned()), Some(bare.to_owned()), other(name), other(bare)];
        candidates
            .into_iter()
            .flatten()
            .find_map(|candidate| self.places.get_key_value(candidate.as_str()))
            .map(|(name, place)| (name.as_str(), place))
    }

    /// Whether a checkpoint whose config ties the head to the token table has another head nevertheless. Reads both when
    /// both are there and equally large.
    pub(super) fn has_own_head(&self, head: &str, table: &str, family: &Family) -> Result<bool, ModelError> {
        match self.head_and_table(head, table, family) {
            Some((head, table)) => Ok(differ(head, table) || !head.same_bytes(table)?),
            None => Ok(false),
        }
    }

    /// Whether the headers alone say so: the two are not stored alike.
    pub(super) fn has_another_head(&self, head: &str, table: &str, family: &Family) -> bool {
        self.head_and_table(head, table, family).is_some_and(|(head, table)| differ(head, table))
    }

    fn head_and_table(&self, head: &str, table: &str, family: &Family) -> Option<(&Place, &Place)> {
        let name = |name: &str| format!("{name}.weight");
        let (_, table) = self.find(&format!("{}{}", family.prefix, name(table)), family)?;
        Some((self.places.get(&name(head))?, table))
    }

    /// Refuses a checkpoint with tensors inside of blocks that nothing reads: without them the blocks that do compute
    /// something else than they were trained for.
    pub(super) fn refuse_lost(&self, unused: &[String], config: &ModelConfig) -> Result<(), ModelError> {
        let shape = &config.shape;
        let in_blocks = unused.iter().filter_map(|name| {
            let bare = name.strip_prefix(config.family.prefix).unwrap_or(name);
            let (number, _) = bare.strip_prefix(shape.blocks)?.strip_prefix('.')?.split_once('.')?;
            Some((number.parse::<usize>().ok()?, name.as_str()))
        });
        let (more, lost): (Vec<_>, Vec<_>) = in_blocks.partition(|(number, _)| *number >= shape.num_hidden_layers);
        if let Some(last) = more.iter().map(|(number, _)| number).max() {
            return Err(ModelError::file(
                &self.root,
                format!(
                    "it has {} blocks, but config.json says num_hidden_layers = {}, so that {} tensors would be lost; take \
                     the config.json that belongs to these weights",
                    last.saturating_add(1),
                    shape.num_hidden_layers,
                    more.len()
                ),
            ));
        }
        if lost.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = lost.iter().map(|(_, name)| *name).collect();
        let why = if names.iter().all(|name| name.ends_with(".bias")) {
            "config.json says that there are no such biases"
        } else {
            "the blocks that config.json describes have no place for them"
        };
        let (count, names) = (names.len(), some(&names));
        Err(ModelError::file(
            &self.root,
            format!(
                "{count} tensors would be lost: {names}; {why}; take the config.json that belongs to these weights"
            ),
        ))
    }

    fn missing(&self, entry: &Entry, prefix: &str) -> ModelError {
        let bare = entry.name.strip_prefix(prefix).unwrap_or(&entry.name);
        let likeness = |name: &str| {
            strsim::normalized_damerau_levenshtein(name, &entry.name)
                .max(strsim::normalized_damerau_levenshtein(name, bare))
        };
        let names = self.places.keys().filter(|name| name.len() <= LONGEST_NAME).take(COMPARED);
        let best = names.map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
        ModelError::MissingTensor {
            path: self.root.clone(),
            tensor: entry.name.clone(),
            expected: entry.shape.clone(),
            nearest: best.filter(|(score, _)| *score > 0.6).map(|(_, name)| name.clone()),
        }
    }

    /// The format of a tensor's values.
    pub(super) fn dtype(&self, name: &str) -> Result<StoredDtype, ModelError> {
        let place =
            self.places.get(name).ok_or_else(|| ModelError::file(&self.root, format!("tensor `{name}` is missing")))?;
        stored(place, name)
    }

    /// The values as float32, in row-major order, and the format they had.
    pub(super) fn read(&self, name: &str) -> Result<(Vec<f32>, StoredDtype), ModelError> {
        let place =
            self.places.get(name).ok_or_else(|| ModelError::file(&self.root, format!("tensor `{name}` is missing")))?;
        let stored = stored(place, name)?;
        let values = float32(&place.read()?, stored);
        match values.iter().position(|x| !x.is_finite()) {
            None => Ok((values, stored)),
            Some(first) => Err(not_finite(place, name, &values, first)),
        }
    }
}

fn differ(one: &Place, other: &Place) -> bool {
    one.info.dtype != other.info.dtype || one.info.shape != other.info.shape
}

/// What training would otherwise blame on rows and learning rate.
fn not_finite(place: &Place, name: &str, values: &[f32], first: usize) -> ModelError {
    let count = values.iter().filter(|x| !x.is_finite()).count();
    let at = match place.info.shape[..] {
        [_, width] => format!("[{}, {}]", first / width, first % width),
        _ => format!("[{first}]"),
    };
    let (value, all) = (values[first], values.len());
    ModelError::file(
        &place.file,
        format!(
            "tensor `{name}` is not finite in {count} of {all} values, the first at {at} ({value}); nothing can be learnt \
             from that: take another copy or an earlier checkpoint of the base model"
        ),
    )
}

/// Buffers that some versions of transformers save and every version recomputes.
fn derived(name: &str, config: &ModelConfig) -> bool {
    let general = ["embeddings.position_ids", "rotary_emb.inv_freq"];
    general.iter().chain(config.family.buffers).any(|ending| name.ends_with(ending))
}

/// A classifier's rows mean its own labels: another set, or another order, needs another head.
fn head_is_for_another_task(place: &Place, entry: &Entry, config: &ModelConfig, task: &Task) -> Option<String> {
    let labels = task.labels();
    let class = config.architectures.first().and_then(|class| Some((class, config.family.task_of(class)?)));
    if let Some((class, _)) = class.filter(|(_, made_for)| made_for.info().class_suffix != task.info().class_suffix) {
        return Some(format!("the checkpoint's head is that of {class}"));
    }
    let (found, wanted) = (*place.info.shape.first()?, entry.shape[0]);
    if found != wanted {
        return Some(format!("the checkpoint's head has {found} classes, the task {wanted}"));
    }
    let Some(known) = config.labels.as_ref() else {
        let named = config.raw.get("id2label").is_some_and(|map| !map.is_null());
        return named.then(|| "the checkpoint's id2label does not name its classes 0, 1, … without gaps".into());
    };
    let anonymous = known.iter().enumerate().all(|(i, label)| *label == format!("LABEL_{i}"));
    if known.len() == labels.len() && !anonymous && known != labels {
        return Some("the checkpoint's head is for other labels, or the same in another order".into());
    }
    None
}

#[cfg(test)]
#[path = "tensor_files_tests.rs"]
mod tests;
