//! Checkpoints of a run with an adapter hold what trains, go on to the same bytes, and refuse another base.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};

use retune_roles::{Example, Task};
use retune_tensor::{Device, from_float32};
use retune_train::model::adapter::{AdapterMethod, AdapterSpec, InitLoraWeights};
use retune_train::model::{Base, Model, Origin};
use retune_train::{Best, CheckpointSpec, EvaluationSpec, Every, Outcome, TrainError, TrainSpec, Trainer};
use safetensors::SafeTensors;
use support::*;

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert-tiny")
}

/// What adapters start from: new values, and a part of the base.
const STARTS: [InitLoraWeights; 2] = [InitLoraWeights::KaimingUniform, InitLoraWeights::Pissa];

fn adapted(base: &Path, init_lora_weights: InitLoraWeights) -> Model {
    let adapter = AdapterSpec {
        method: AdapterMethod::Dora,
        r: 2,
        lora_dropout: 0.1,
        target_modules: vec!["query".into(), "value".into()],
        init_lora_weights,
        ..AdapterSpec::default()
    };
    let task = Task::SequenceClassification { labels: LABELS.map(String::from).to_vec() };
    Model::load_with_adapter(&Base::Directory(base.to_owned()), &task, &adapter, 7, &Device::flex()).unwrap().0
}

fn spec_of(directory: &Path) -> TrainSpec {
    TrainSpec {
        gradient_accumulation_steps: 2,
        evaluation: EvaluationSpec {
            every: Every::Steps(4),
            best: Some(Best { metric: "accuracy".into(), mode: None }),
            ..EvaluationSpec::default()
        },
        checkpoint: CheckpointSpec { every_steps: Some(3), ..spec(directory).checkpoint },
        ..spec(directory)
    }
}

fn run_on(
    directory: &Path,
    data: &[Example],
    start: InitLoraWeights,
    stop_after: Option<usize>,
) -> (Result<Outcome, TrainError>, Recorder) {
    let spec = spec_of(directory);
    let mut recorder = Recorder { stop_after, ..Recorder::default() };
    let mut trainer = Trainer::new(adapted(&base(), start), spec, roles(), &data, &data).unwrap();
    trainer.resume().unwrap();
    (trainer.run(&mut recorder), recorder)
}

#[test]
fn a_run_with_an_adapter_killed_at_random_points_ends_with_the_same_bytes() {
    let data = rows(35, 1);
    for start in STARTS {
        let whole = tempfile::tempdir().unwrap();
        let (outcome, recorder) = run_on(whole.path(), &data, start, None);
        let outcome = outcome.unwrap();
        let expected = bytes(&outcome.model);
        assert_ne!(expected, bytes(&adapted(&base(), start)), "it learns");
        let mut draw = Draw(9);
        for kill in 0..8 {
            let directory = tempfile::tempdir().unwrap();
            let first = 1 + draw.below(recorder.events.len() as u64 - 1) as usize;
            assert!(
                matches!(run_on(directory.path(), &data, start, Some(first)).0, Err(TrainError::Stopped { .. })),
                "kill {kill}"
            );
            let resumed = run_on(directory.path(), &data, start, None).0.unwrap();
            assert_eq!(bytes(&resumed.model), expected, "{start:?}, killed after event {first}");
            assert_eq!((resumed.steps, resumed.best), (outcome.steps, outcome.best));
        }
    }
}

#[test]
fn a_run_goes_on_with_the_start_that_its_checkpoint_has() {
    let data = rows(35, 1);
    let start = InitLoraWeights::Pissa;
    let [whole, halved] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let expected = bytes(&run_on(whole.path(), &data, start, None).0.unwrap().model);
    assert!(matches!(run_on(halved.path(), &data, start, Some(20)).0, Err(TrainError::Stopped { .. })));
    // As if another machine found them: every one of them a little longer.
    let mut other = adapted(&base(), start);
    let starts: Vec<usize> = other.adapter().unwrap().placed.iter().filter_map(|p| p.start).flatten().collect();
    for index in starts {
        let value = other.parameters().at(index).unwrap().value.mul_scalar(1.01).unwrap();
        other.parameters_mut().set_value(index, value).unwrap();
    }
    let mut trainer = Trainer::new(other, spec_of(halved.path()), roles(), &data, &data).unwrap();
    assert!(trainer.resume().unwrap().is_some());
    assert_eq!(bytes(&trainer.run(&mut Recorder::default()).unwrap().model), expected);
}

#[test]
fn a_checkpoint_holds_what_trains_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let model = run_on(directory.path(), &rows(35, 1), InitLoraWeights::Pissa, None).0.unwrap().model;
    let trains = |name: &str| model.parameters().get(name).is_some_and(|p| p.origin == Origin::Adapter || p.trainable);
    let mut seen = 0;
    for entry in std::fs::read_dir(directory.path().join("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        let file = std::fs::read(path.join("weights.safetensors")).unwrap();
        let names: Vec<String> =
            SafeTensors::deserialize(&file).unwrap().names().iter().map(|name| (*name).to_owned()).collect();
        assert!(names.iter().all(|name| trains(name)), "{names:?}");
        let wanted = model.parameters().iter().filter(|p| trains(&p.name));
        let scalars: u64 = wanted.clone().map(|p| p.numel()).sum();
        assert_eq!(names.len(), wanted.count());
        assert!((file.len() as u64) < 4 * scalars + 8000, "{} bytes for {scalars} scalars", file.len());
        seen += 1;
    }
    assert!(seen >= 2, "steps and the best");
}

#[test]
fn a_checkpoint_is_refused_for_another_base() {
    let directory = tempfile::tempdir().unwrap();
    let data = rows(35, 1);
    run_on(directory.path(), &data, InitLoraWeights::KaimingUniform, Some(20)).0.unwrap_err();
    let mut other = adapted(&base(), InitLoraWeights::KaimingUniform);
    let name = "bert.encoder.layer.1.output.dense.weight";
    let index = other.parameters().index_of(name).unwrap();
    let parameter = other.parameters().at(index).unwrap();
    let mut values = parameter.value.to_float32().unwrap();
    values[7] += 1e-3;
    let value = from_float32(values, parameter.shape(), &Device::flex()).unwrap();
    other.parameters_mut().set_value(index, value).unwrap();
    let mut trainer = Trainer::new(other, spec_of(directory.path()), roles(), &data, &data).unwrap();
    let error = trainer.resume().unwrap_err();
    let told = format!("{error}");
    assert!(told.contains("another base") && told.contains(name), "{told}");
}
