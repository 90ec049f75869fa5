//! Fixtures that a script of `tests/reference` wrote: rows, and what a reference makes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{AnyTensor, fused};
use retune_train::model::{Forward, Input, Model, Task, task_of_checkpoint};
use safetensors::{Dtype, SafeTensors};

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

pub struct Fixture {
    pub name: String,
    pub directory: PathBuf,
    pub expected: Tensors,
}

/// All that lie in `tests/fixtures/<folder>`.
pub fn fixtures(folder: &str) -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(folder);
    let mut all: Vec<Fixture> =
        std::fs::read_dir(root).unwrap().map(|entry| Fixture::read(entry.unwrap().path())).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

impl Fixture {
    pub fn read(directory: PathBuf) -> Self {
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, expected: tensors(&directory.join("expected.safetensors")), directory }
    }

    /// The tensors of another of its files.
    pub fn file(&self, name: &str) -> Tensors {
        tensors(&self.directory.join(name))
    }

    pub fn values(&self, name: &str) -> &[f64] {
        &self.expected[name].1
    }

    pub fn examples(&self) -> Vec<Example> {
        let width = self.expected["input_ids"].0[1];
        let classes = self.expected["labels"].0.len() == 1;
        // Labels stand beside their tokens, and not before them.
        let own = task_of_checkpoint(&self.directory)
            .is_ok_and(|task| matches!(task, Task::TokenClassification { .. } | Task::MaskedLm));
        let row = |(i, length): (usize, &f64)| {
            let ids = &self.values("input_ids")[i * width..i * width + *length as usize];
            let mut sequence = Sequence::of(ids.iter().map(|id| *id as u32).collect());
            let target = if own {
                let labels = &self.values("labels")[i * width..i * width + *length as usize];
                Target::Labels(labels.iter().map(|label| *label as i32).collect())
            } else if classes {
                Target::Class(self.values("labels")[i] as u32)
            } else {
                sequence.learnt = std::iter::once(1..sequence.len() as u32).collect();
                Target::None
            };
            Example::new(format!("row {i}"), sequence, target)
        };
        self.values("lengths").iter().enumerate().map(row).collect()
    }

    pub fn input(&self, model: &Model) -> Input {
        model.input(&self.examples().iter().collect::<Vec<_>>()).unwrap()
    }
}

fn tensors(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8], dtype: Dtype| -> Vec<f64> {
        match dtype {
            Dtype::F32 => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
            _ => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        }
    };
    file.iter().map(|(name, v)| (name.to_owned(), (v.shape().to_vec(), values(v.data(), v.dtype())))).collect()
}

/// Over all tokens or rows that have a label.
pub fn mean_loss(forward: &Forward, input: &Input) -> AnyTensor {
    let labels = input.labels().unwrap().unwrap();
    let counted = labels.to_int64().unwrap().iter().filter(|l| **l != -100).count();
    let log_probs = fused::token_log_probs(&forward.logits, labels, -100).unwrap();
    log_probs.sum(&[], false).unwrap().mul_scalar(-1.0 / counted as f64).unwrap()
}

pub fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |most, x| most.max(x.abs()))
}

/// As the scripts show a gradient: a vector as it is, of a matrix its product with cos(0), cos(1), …
pub fn shown(gradient: &AnyTensor) -> Vec<f64> {
    let values = gradient.to_float32().unwrap();
    match gradient.shape()[..] {
        [_, width] => {
            let product = |row: &[f32]| row.iter().enumerate().map(|(j, x)| f64::from(*x) * (j as f64).cos()).sum();
            values.chunks_exact(width).map(product).collect()
        }
        _ => values.into_iter().map(f64::from).collect(),
    }
}
