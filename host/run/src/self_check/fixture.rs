//! A folder with a model or an adapter, and `expected.safetensors`: what transformers or peft made of it.
//!
//! Scripts of `tests/reference` write them. Of rows: `input_ids` and perhaps `token_type_ids` `[rows, longest]`, `lengths`, and `labels` of
//! the rows or of their tokens (of a language model every token is learnt). Of the results: `logits`, `loss`, some
//! `grad.<parameter>` (of a matrix the values, or its product with cos(0), cos(1), …) and `losses` of steps of AdamW.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_roles::{Example, Sequence, Target};
use retune_tensor::Device;
use retune_train::model::{Model, Task, Trained};
use safetensors::{Dtype, SafeTensors};

/// What a folder needs to be one.
const EXPECTED: &str = "expected.safetensors";

/// A folder that was read.
#[derive(Debug)]
pub(super) struct Fixture {
    /// Its folder's name, with that of the one around it.
    pub(super) name: String,
    folder: PathBuf,
    trained: Trained,
    floats: BTreeMap<String, Vec<f32>>,
    integers: BTreeMap<String, Vec<i64>>,
}

impl Fixture {
    /// Whether `folder` is one.
    pub(super) fn is_one(folder: &Path) -> bool {
        let model = ["config.json", "adapter_config.json"].into_iter().any(|name| folder.join(name).is_file());
        model && folder.join(EXPECTED).is_file()
    }

    /// Reads what was expected, and where the model lies.
    ///
    /// # Errors
    /// When a file is broken, or an adapter's base is not there.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(EXPECTED);
        let bytes = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| {
            failed(folder, error).help(format!(
                "its `{EXPECTED}` is cut short or no such file; copy the folder again from retune's source"
            ))
        })?;
        let (mut floats, mut integers) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in tensors.iter() {
            let data = tensor.data();
            match tensor.dtype() {
                Dtype::F32 => {
                    let values = data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                    floats.insert(name.to_owned(), values);
                }
                Dtype::I64 => {
                    let values = data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
                    integers.insert(name.to_owned(), values);
                }
                _ => {}
            }
        }
        // Scripts put the bases of some adapters beside them, and say which in a file.
        let base = fs::read_to_string(folder.join("base")).ok().map(|base| folder.join("../..").join(base.trim()));
        let trained = Trained::open(folder, base.as_deref()).map_err(|error| failed(folder, error))?;
        let part = |path: Option<&Path>| {
            let name = path.and_then(Path::file_name).unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let name = format!("{}/{}", part(folder.parent()), part(Some(folder)));
        Ok(Self { name, folder: folder.to_owned(), trained, floats, integers })
    }

    /// Who made it.
    pub(super) fn peer(&self) -> &'static str {
        if self.trained.base().is_some() { "peft" } else { "transformers" }
    }

    /// The model on a device.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn load(&self, device: &Device) -> Result<Model> {
        let load = || self.trained.load(&self.trained.task()?, 0, device);
        load().map(|(model, _)| model).map_err(|error| self.failed(error))
    }

    /// What was expected under a name, when it is there.
    pub(super) fn floats(&self, name: &str) -> Option<&[f32]> {
        self.floats.get(name).map(Vec::as_slice)
    }

    /// Whether there is anything to learn from the rows.
    pub(super) fn has_labels(&self) -> bool {
        self.floats.contains_key("labels") || self.integers.contains_key("labels")
    }

    /// The rows without their padding.
    ///
    /// # Errors
    /// When some are missing or cut short.
    pub(super) fn examples(&self, task: &Task) -> Result<Vec<Example>> {
        let missing = || self.failed(format!("`{EXPECTED}` lacks whole `input_ids`, `lengths` or `labels`"));
        let list = |name: &str| self.integers.get(name).map_or(&[][..], Vec::as_slice);
        let (ids, lengths, segments) = (list("input_ids"), list("lengths"), list("token_type_ids"));
        let longest = ids.len().checked_div(lengths.len()).ok_or_else(missing)?;
        let row = |(row, length): (usize, &i64)| {
            let cells = row * longest..row * longest + usize::try_from(*length).ok()?;
            let ids = ids.get(cells.clone())?.iter().map(|id| *id as u32).collect();
            let mut sequence = if *task == Task::CausalLm { Sequence::text(ids) } else { Sequence::of(ids) };
            let segments = segments.get(cells.clone()).unwrap_or_default();
            sequence.segments = segments.iter().map(|segment| *segment as u8).collect();
            let target = if self.has_labels() { self.target(task, row, cells)? } else { Target::None };
            Some(Example::new(format!("{}:{}", self.name, row + 1), sequence, target))
        };
        lengths.iter().enumerate().map(row).collect::<Option<Vec<_>>>().ok_or_else(missing)
    }

    fn target(&self, task: &Task, row: usize, cells: std::ops::Range<usize>) -> Option<Target> {
        let (labels, numbers) = (self.integers.get("labels"), self.floats.get("labels"));
        let numbers = |width: usize| numbers?.get(row * width..(row + 1) * width);
        Some(match task {
            Task::CausalLm => Target::None,
            Task::SequenceClassification { .. } => Target::Class(*labels?.get(row)? as u32),
            Task::MultiLabelClassification { labels } => {
                let held = (0u32..).zip(numbers(labels.len())?).filter(|(_, label)| **label > 0.5);
                Target::Classes(held.map(|(class, _)| class).collect())
            }
            Task::Regression { outputs } => Target::Values(numbers(outputs.len())?.to_vec()),
            Task::TokenClassification { .. } | Task::MaskedLm => {
                Target::Labels(labels?.get(cells)?.iter().map(|label| *label as i32).collect())
            }
        })
    }

    /// That something of this fixture cannot be compared.
    pub(super) fn failed(&self, error: impl std::fmt::Display) -> Diagnostic {
        failed(&self.folder, error)
    }
}

fn failed(folder: &Path, error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new(format!("cannot compare {}", folder.display())).because(error)
}
