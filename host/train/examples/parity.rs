//! Computes what `tests/reference/parity.py` had transformers compute, and says how far apart the two are:
//! `parity FOLDER...`, a line of JSON for each.
//!
//! A folder holds a checkpoint and `expected.safetensors`, as `tests/reference/family_fixtures.py` writes them. Printed are
//! the largest distance of a logit, the largest of a gradient relative to the largest value of that parameter's, and the
//! largest of the losses of 20 steps of AdamW. The trained model is exported to `FOLDER/export`, read again, and its logits
//! are written to `FOLDER/exported.safetensors`.
//!
//! A folder may hold `base` and `adapter` in place of a checkpoint, as `tests/reference/parity_adapters.py` writes them. Printed are
//! then the largest distance of a logit of the adapted model, and that of the merged one from it; the adapter is exported to
//! `FOLDER/export`, with its own logits in `FOLDER/exported.safetensors`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{AnyTensor, Device, fused};
use retune_train::AdamW;
use retune_train::model::{Base, ExportForm, Forward, Input, Model, Parameter, Task, Trained, task_of_checkpoint};
use retune_train::optimizer::adamw::{Optimizer, Rate};
use retune_train::optimizer::gradients::Gradients;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Of the script that wrote the folders.
const LEARNING_RATE: f64 = 2e-3;
const WEIGHT_DECAY: f64 = 0.01;

/// Parameters that transformers' BERT and RoBERTa have and do not read when their heads are not tied.
const UNREAD: [&str; 2] = ["cls.predictions.bias", "lm_head.bias"];

fn main() -> Result<()> {
    for folder in std::env::args().skip(1) {
        let path = Path::new(&folder);
        let found = if path.join("adapter").is_dir() { compare_adapter(path) } else { compare(path) };
        let found = found.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        println!("{}", json!({ "folder": folder, "found": found }));
    }
    Ok(())
}

/// What transformers computed: shapes and values by name.
struct Expected(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl Expected {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let file = SafeTensors::deserialize(&bytes)?;
        let values = |view: &TensorView| -> Vec<f64> {
            let data = view.data();
            match view.dtype() {
                Dtype::F32 => {
                    data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
                }
                _ => data
                    .chunks_exact(8)
                    .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f64)
                    .collect(),
            }
        };
        Ok(Self(file.iter().map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), values(&view)))).collect()))
    }

    fn get(&self, name: &str) -> Result<&(Vec<usize>, Vec<f64>)> {
        self.0.get(name).ok_or_else(|| format!("expected.safetensors has no `{name}`").into())
    }

    fn examples(&self, task: &Task) -> Result<Vec<Example>> {
        let (ids, lengths) = (self.get("input_ids")?, self.get("lengths")?);
        let (width, segments, labels) = (ids.0[1], self.get("token_type_ids").ok(), self.get("labels").ok());
        // Labels stand beside their tokens, and not before them.
        let own = matches!(task, Task::TokenClassification { .. } | Task::MaskedLm);
        let row = |(i, length): (usize, &f64)| {
            let of_row = i * width..i * width + *length as usize;
            let mut sequence = Sequence::of(ids.1[of_row.clone()].iter().map(|id| *id as u32).collect());
            if let Some((_, segments)) = segments {
                sequence.segments = segments[of_row.clone()].iter().map(|segment| *segment as u8).collect();
            }
            let target = match labels {
                None => Target::None,
                Some((_, labels)) if own => Target::Labels(labels[of_row].iter().map(|label| *label as i32).collect()),
                Some((shape, labels)) if shape.len() == 1 => Target::Class(labels[i] as u32),
                Some(_) => {
                    sequence.learnt = std::iter::once(1..sequence.len() as u32).collect();
                    Target::None
                }
            };
            Example::new(format!("row {i}"), sequence, target)
        };
        Ok(lengths.1.iter().enumerate().map(row).collect())
    }
}

fn compare(folder: &Path) -> Result<Value> {
    let expected = Expected::read(&folder.join("expected.safetensors"))?;
    let task = task_of_checkpoint(folder)?;
    let load = |from: &Path| Model::load(&Base::Directory(from.to_owned()), &task, 1, &Device::flex());
    let (mut model, report) = load(folder)?;
    let unused: Vec<&String> = report.unused.iter().filter(|name| !UNREAD.contains(&name.as_str())).collect();
    if !(report.new.is_empty() && report.replaced.is_empty() && unused.is_empty()) {
        let replaced = report.replaced;
        return Err(format!("new parameters {:?}, replaced {replaced:?}, unused tensors {unused:?}", report.new).into());
    }
    let examples = expected.examples(&task)?;
    let input = model.input(&examples.iter().collect::<Vec<_>>())?;

    let logits = model.forward(&model.weights(false), &input, None)?.logits;
    let logits = farthest(&logits.to_float32()?, &expected.get("logits")?.1);
    let (gradients, of) = gradients(&model, &input, &expected)?;
    let losses = losses(&mut model, &input, &expected.get("losses")?.1)?;
    let export = folder.join("export");
    model.export(&export, None)?;
    let exported = load(&export)?.0;
    write_logits(folder, &exported.forward(&exported.weights(false), &input, None)?.logits)?;
    Ok(json!({ "logits": logits, "gradients": gradients, "of": of, "losses": losses }))
}

/// For the script, which has transformers read the export.
fn write_logits(folder: &Path, logits: &AnyTensor) -> Result<()> {
    let bytes: Vec<u8> = logits.to_float32()?.into_iter().flat_map(f32::to_le_bytes).collect();
    let tensors = [("logits", TensorView::new(Dtype::F32, logits.shape(), &bytes)?)];
    Ok(safetensors::serialize_to_file(tensors, None, &folder.join("exported.safetensors"))?)
}

fn compare_adapter(folder: &Path) -> Result<Value> {
    let expected = Expected::read(&folder.join("expected.safetensors"))?;
    let load = |from: &Path| -> Result<Model> {
        let trained = Trained::open(from, None)?;
        let (model, report) = trained.load(&trained.task()?, 1, &Device::flex())?;
        if !(report.new.is_empty() && report.replaced.is_empty()) {
            return Err(format!("new parameters {:?}, replaced {:?}", report.new, report.replaced).into());
        }
        Ok(model)
    };
    let logits = |model: &Model| -> Result<AnyTensor> {
        let examples = expected.examples(model.task())?;
        let input = model.input(&examples.iter().collect::<Vec<_>>())?;
        Ok(model.forward(&model.weights(false), &input, None)?.logits)
    };
    let model = load(&folder.join("adapter"))?;
    let found = logits(&model)?;
    let off = farthest(&found.to_float32()?, &expected.get("logits")?.1);
    model.export_as(ExportForm::Whole, &folder.join("merged"), None, None)?;
    let merged = logits(&load(&folder.join("merged"))?)?.to_float32()?;
    let own: Vec<f64> = found.to_float32()?.into_iter().map(f64::from).collect();
    let base = folder.join("base");
    let base = base.to_str().ok_or("a path that is not UTF-8")?;
    model.export_as(ExportForm::Adapter { base }, &folder.join("export"), None, None)?;
    write_logits(folder, &logits(&load(&folder.join("export"))?)?)?;
    Ok(json!({ "logits": off, "merged": farthest(&merged, &own) }))
}

/// Over all tokens or rows that have a label.
fn mean_loss(forward: &Forward, input: &Input) -> Result<AnyTensor> {
    let labels = input.labels()?.ok_or("rows without labels")?;
    let counted = labels.to_int64()?.iter().filter(|label| **label != -100).count();
    let log_probs = fused::token_log_probs(&forward.logits, labels, -100)?;
    Ok(log_probs.sum(&[], false)?.mul_scalar(-1.0 / counted as f64)?)
}

fn farthest(found: &[f32], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    largest(found.iter().zip(expected).map(|(found, expected)| f64::from(*found) - expected))
}

/// Not a number is as far as can be.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |most: f64, x| if x.is_nan() { f64::INFINITY } else { most.max(x.abs()) })
}

/// The largest relative distance and the parameter it is of, as the script shows gradients: of a matrix its product with
/// cos(0), cos(1), …
fn gradients(model: &Model, input: &Input, expected: &Expected) -> Result<(f64, String)> {
    let weights = model.weights(true);
    let loss = mean_loss(&model.forward(&weights, input, None)?, input)?;
    let found = weights.backward(&loss)?;
    let theirs = expected.0.iter().filter(|(name, _)| name.starts_with("grad."));
    let most = largest(theirs.flat_map(|(_, (_, values))| values.iter().copied()));
    let mut worst = (0.0, String::new());
    for (parameter, gradient) in model.parameters().iter().zip(&found) {
        let wanted = &expected.get(&format!("grad.{}", parameter.name))?.1;
        let gradient = gradient.as_ref().ok_or_else(|| format!("`{}` has no gradient", parameter.name))?;
        let values = gradient.to_float32()?;
        let mut longest: f64 = 0.0;
        let shown: Vec<f64> = match gradient.shape()[..] {
            [_, width] => {
                let norm = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                longest = largest(values.chunks_exact(width).map(norm));
                let row = |row: &[f32]| row.iter().enumerate().map(|(j, x)| f64::from(*x) * (j as f64).cos()).sum();
                values.chunks_exact(width).map(row).collect()
            }
            _ => values.into_iter().map(f64::from).collect(),
        };
        // Some are zero but for rounding, such as that of a bias that shifts all scores alike; and the product of the only row
        // of a table may be small where the row is not.
        let size = largest(wanted.iter().copied()).max(1e-3 * most).max(longest);
        let off = largest(shown.iter().zip(wanted).map(|(a, b)| a - b)) / size;
        if off > worst.0 {
            worst = (off, parameter.name.clone());
        }
    }
    Ok(worst)
}

/// Trains, and gives the largest distance of a loss.
fn losses(model: &mut Model, input: &Input, expected: &[f64]) -> Result<f64> {
    let mut optimizer = Optimizer::new(AdamW::default(), model.parameters().len());
    let mut worst: f64 = 0.0;
    for expected in expected {
        let weights = model.weights(true);
        let loss = mean_loss(&model.forward(&weights, input, None)?, input)?;
        let mut gradients = Gradients::none(model.parameters().len());
        gradients.add(weights.backward(&loss)?)?;
        worst = worst.max(largest(std::iter::once(loss.item()? - expected)));
        drop((weights, loss));
        let rate = |parameter: &Parameter| Rate {
            learning_rate: LEARNING_RATE,
            weight_decay: if parameter.decay { WEIGHT_DECAY } else { 0.0 },
        };
        optimizer.update(model.parameters_mut(), gradients, 1.0, rate, false)?;
    }
    Ok(worst)
}
