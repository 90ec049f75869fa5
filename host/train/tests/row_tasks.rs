//! Rows with several labels, and rows with numbers, agree with transformers: the fixtures that
//! `tests/reference/row_task_fixtures.py` wrote, whatever lies there.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use retune_roles::builtin;
use retune_roles::{Example, InputSpec, Progress, RoleKind, Sequence, Target};
use retune_tensor::{AnyTensor, Device};
use retune_train::AdamW;
use retune_train::collate::Collation;
use retune_train::model::{Base, Model, Task, task_of_checkpoint};
use retune_train::optimizer::adamw::{Optimizer, Rate};
use retune_train::{predict_scores, training::step, training::workers::Alone};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// Of the script that wrote the fixtures.
const LEARNING_RATE: f64 = 2e-3;
const WEIGHT_DECAY: f64 = 0.01;

struct Fixture {
    name: String,
    directory: PathBuf,
    task: Task,
    expected: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

fn fixtures() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/row-tasks");
    let mut all: Vec<Fixture> =
        std::fs::read_dir(root).unwrap().map(|entry| Fixture::read(entry.unwrap().path())).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 4);
    all
}

impl Fixture {
    fn read(directory: PathBuf) -> Self {
        let bytes = std::fs::read(directory.join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |data: &[u8], dtype: Dtype| -> Vec<f64> {
            match dtype {
                Dtype::F32 => {
                    data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
                }
                _ => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            }
        };
        let read = file.iter().map(|(name, v)| (name.to_owned(), (v.shape().to_vec(), values(v.data(), v.dtype()))));
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let task = task_of_checkpoint(&directory).unwrap();
        Self { name, expected: read.collect(), task, directory }
    }

    fn values(&self, name: &str) -> &[f64] {
        &self.expected[name].1
    }

    fn model(&self) -> Model {
        let base = Base::Directory(self.directory.clone());
        let (model, report) = Model::load(&base, &self.task, 1, &Device::flex()).unwrap();
        assert!(report.new.is_empty() && report.replaced.is_empty() && report.unused.is_empty(), "{}", self.name);
        model
    }

    fn examples(&self) -> Vec<Example> {
        let (width, outputs) = (self.expected["input_ids"].0[1], self.task.labels().len());
        let row = |(i, length): (usize, &f64)| {
            let ids = &self.values("input_ids")[i * width..i * width + *length as usize];
            let labels = &self.values("labels")[i * outputs..(i + 1) * outputs];
            let target = match self.task {
                Task::Regression { .. } => Target::Values(labels.iter().map(|value| *value as f32).collect()),
                _ => Target::Classes((0u32..).zip(labels).filter(|(_, held)| **held == 1.0).map(|(c, _)| c).collect()),
            };
            Example::new(format!("row {i}"), Sequence::of(ids.iter().map(|id| *id as u32).collect()), target)
        };
        self.values("lengths").iter().enumerate().map(row).collect()
    }

    /// The sums of a step over all rows, in micro-batches of so many.
    fn step(&self, model: &Model, batch_size: usize) -> step::StepSums {
        let info = self.task.info();
        let mut loss = builtin::loss(info.default_loss, &Value::Null, self.task.kind()).unwrap();
        let mut collation = Collation::new(&self.task, &[]);
        collation.want(RoleKind::Loss, loss.name(), loss.wants()).unwrap();
        let examples = self.examples();
        let rows: Vec<&Example> = examples.iter().collect();
        let shape = step::Shape { batch_size, dropout_seed: None, first: 0 };
        step::compute(model, &mut *loss, &collation, &rows, shape, &Progress::default(), &Alone).unwrap()
    }
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |most, x| most.max(x.abs()))
}

/// As the script shows a gradient: a vector as it is, of a matrix its product with cos(0), cos(1), …
fn shown(gradient: &[f32], shape: &[usize]) -> Vec<f64> {
    match *shape {
        [_, width] => {
            let product = |row: &[f32]| row.iter().enumerate().map(|(j, x)| f64::from(*x) * (j as f64).cos()).sum();
            gradient.chunks_exact(width).map(product).collect()
        }
        _ => gradient.iter().map(|x| f64::from(*x)).collect(),
    }
}

#[test]
fn a_checkpoint_says_by_its_problem_type_which_task_it_is_for() {
    for fixture in fixtures() {
        let several = fixture.name.ends_with("labels");
        assert_eq!(matches!(fixture.task, Task::MultiLabelClassification { .. }), several, "{}", fixture.name);
        assert_eq!(matches!(fixture.task, Task::Regression { .. }), !several, "{}", fixture.name);
    }
}

#[test]
fn logits_are_within_1e_4_of_transformers_and_predictions_are_made_of_them() {
    for fixture in fixtures() {
        let (model, examples) = (fixture.model(), fixture.examples());
        let input = model.input(&examples.iter().collect::<Vec<_>>()).unwrap();
        let forward = model.forward(&model.weights(false), &input, None).unwrap();
        assert_eq!(forward.logits.shape(), fixture.expected["logits"].0, "{}", fixture.name);
        let expected = fixture.values("logits");
        let found = forward.logits.to_float32().unwrap();
        let off = largest(found.iter().zip(expected).map(|(a, b)| f64::from(*a) - b));
        assert!(off <= 1e-4, "{}: {off} away", fixture.name);
        let scores = predict_scores(&model, &examples, 2).unwrap();
        assert!(scores.iter().zip(&examples).all(|(answer, row)| answer.key == row.key), "in the order of the rows");
        let told: Vec<f64> = scores.into_iter().flat_map(|answer| answer.values).collect();
        let several = matches!(fixture.task, Task::MultiLabelClassification { .. });
        let of = |logit: &f64| if several { 1.0 / (1.0 + (-logit).exp()) } else { *logit };
        assert!(largest(told.iter().zip(expected).map(|(a, b)| a - of(b))) <= 1e-4, "{}", fixture.name);
    }
}

#[test]
fn loss_and_gradients_are_those_of_transformers_however_the_rows_are_cut() {
    for fixture in fixtures() {
        let model = fixture.model();
        let most = fixture.expected.iter().filter(|(key, _)| key.starts_with("grad."));
        let most = largest(most.flat_map(|(_, (_, values))| values.iter().copied()));
        for batch_size in [1, 3, 8] {
            let sums = fixture.step(&model, batch_size);
            assert!((sums.loss() - fixture.values("loss")[0]).abs() < 1e-5, "{}: {}", fixture.name, sums.loss());
            for (parameter, gradient) in model.parameters().iter().zip(sums.gradients.iter()) {
                let sum = gradient.as_ref().unwrap().to_vec().unwrap();
                let mean: Vec<f32> = sum.iter().map(|x| x / sums.denominator as f32).collect();
                let found = shown(&mean, parameter.shape());
                let expected = fixture.values(&format!("grad.{}", parameter.name));
                assert_eq!(found.len(), expected.len());
                let off = largest(found.iter().zip(expected).map(|(a, b)| a - b));
                let size = largest(expected.iter().copied()).max(1e-3 * most);
                assert!(off <= 1e-4 * size, "{}, {}: {off} of {size}", fixture.name, parameter.name);
            }
        }
    }
}

#[test]
fn losses_of_20_steps_of_adamw_are_within_1e_3_of_torch() {
    for fixture in fixtures() {
        let mut model = fixture.model();
        let mut optimizer = Optimizer::new(AdamW::default(), model.parameters().len());
        let losses = fixture.values("losses");
        assert_eq!(losses.len(), 20);
        for (step, expected) in losses.iter().enumerate() {
            let sums = fixture.step(&model, 8);
            let found = sums.loss();
            assert!((found - expected).abs() < 1e-3, "{}, step {step}: {found}, not {expected}", fixture.name);
            let rate = |parameter: &retune_train::model::Parameter| Rate {
                learning_rate: LEARNING_RATE,
                weight_decay: if parameter.decay { WEIGHT_DECAY } else { 0.0 },
            };
            let scale = 1.0 / sums.denominator;
            optimizer.update(model.parameters_mut(), sums.gradients, scale, rate, false).unwrap();
        }
        assert!(losses[19] < 0.6 * losses[0], "{} learns", fixture.name);
    }
}

#[test]
fn an_export_says_the_problem_and_is_read_back_as_the_same_task() {
    for fixture in fixtures() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        let names: Vec<String> = (0..fixture.task.labels().len()).map(|i| format!("name {i}")).collect();
        let task = fixture.task.kind().with_labels(names.clone());
        let base = Base::Directory(fixture.directory.clone());
        let (model, report) = Model::load(&base, &task, 1, &Device::flex()).unwrap();
        assert!(report.replaced.is_empty(), "LABEL_0 is no name");
        model.export(&directory, None).unwrap();
        let config: Value =
            serde_json::from_str(&std::fs::read_to_string(directory.join("config.json")).unwrap()).unwrap();
        let problem = match task {
            Task::Regression { .. } => "regression",
            _ => "multi_label_classification",
        };
        assert_eq!(config["problem_type"], problem);
        assert!(config["architectures"][0].as_str().unwrap().ends_with("ForSequenceClassification"));
        let by_id: serde_json::Map<String, Value> =
            names.iter().enumerate().map(|(i, name)| (i.to_string(), json!(name))).collect();
        assert_eq!(config["id2label"], Value::Object(by_id));
        assert_eq!(task_of_checkpoint(&directory).unwrap(), task);
        let again = Model::load(&Base::Directory(directory), &task, 2, &Device::flex()).unwrap().0;
        let logits = |model: &Model| -> Vec<f32> {
            let examples = fixture.examples();
            let input = model.input(&examples.iter().collect::<Vec<_>>()).unwrap();
            let all: AnyTensor = model.forward(&model.weights(false), &input, None).unwrap().logits;
            all.to_float32().unwrap()
        };
        assert_eq!(logits(&model), logits(&again), "{}", fixture.name);
    }
}

#[test]
fn a_head_without_a_problem_type_is_a_regression_when_it_has_one_output() {
    let fixture = fixtures().into_iter().find(|fixture| fixture.name == "bert-number").unwrap();
    let place = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixture.directory.join("config.json")).unwrap();
    let mut config: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    config.remove("problem_type");
    config.insert("id2label".into(), json!({"0": "score"}));
    let write = |config: &serde_json::Map<String, Value>| {
        std::fs::write(place.path().join("config.json"), serde_json::to_string(config).unwrap()).unwrap();
        task_of_checkpoint(place.path()).unwrap()
    };
    assert_eq!(write(&config), Task::Regression { outputs: vec!["score".into()] });
    config.insert("id2label".into(), json!({"0": "no", "1": "yes"}));
    assert!(matches!(write(&config), Task::SequenceClassification { .. }));
}

#[test]
fn roles_get_the_names_of_their_task_and_no_others() {
    let numbers = Task::Regression { outputs: vec!["score".into()] };
    let mut collation = Collation::new(&numbers, &[]);
    collation
        .want(RoleKind::Metric, "m", &[InputSpec::required("predictions"), InputSpec::required("targets")])
        .unwrap();
    let error = collation.want(RoleKind::Loss, "focal", &[InputSpec::required("labels")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "loss focal asks for the tensor `labels`, which this run cannot supply; it has `predictions`, `targets`, `weights`, \
         `hidden` and `pooled`"
    );
}
