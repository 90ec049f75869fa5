//! No weight that is not a finite number is kept or exported, and whoever made it one is named.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;

use retune_roles::{Action, Change, Event, InitScheme, PolicyContract, Trigger};
use retune_tensor::from_float32;
use retune_train::{AdamW, Best, EvaluationSpec, Every, Roles, Silent, TrainError, TrainSpec, Trainer};
use support::*;

/// Ten steps; a policy does `action` to the classifier after `after` of them, and a run can go on from `kept`.
fn run(
    directory: &Path,
    change: impl FnOnce(&mut TrainSpec),
    (after, kept): (u64, Option<u64>),
    action: Option<Action>,
) -> TrainError {
    let mut spec = TrainSpec {
        evaluation: EvaluationSpec {
            every: Every::Steps(2),
            best: Some(Best { metric: "loss".into(), mode: None }),
            ..EvaluationSpec::default()
        },
        ..spec(directory)
    };
    spec.checkpoint.every_steps = Some(1);
    change(&mut spec);
    let script = move |event: &Event, _: u64| match (&event.trigger, action) {
        (Trigger::Steps, Some(action)) if event.at.step == after => {
            vec![Change { layers: "classifier".into(), action, reason: String::new() }]
        }
        _ => Vec::new(),
    };
    let contract = PolicyContract { every_steps: Some(1), ..PolicyContract::default() };
    let roles = || Roles { policies: vec![Box::new(Scripted { contract, asked: 0, script })], ..roles() };
    let (data, validation) = (rows(20, 1), rows(7, 2));
    let (outcome, _) = train(bert(0.0), spec.clone(), roles(), &data, &validation);
    let error = outcome.unwrap_err();
    // Everything that was written is finite, and the last checkpoint is one that a run can go on from.
    for file in walk(&spec.checkpoint.directory) {
        let bytes = std::fs::read(&file).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (name, tensor) in tensors.iter().filter(|_| !file.ends_with("roles.safetensors")) {
            let floats = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            assert!(floats.into_iter().all(f32::is_finite), "{}: {name}", file.display());
        }
    }
    if kept.is_some() {
        let mut trainer = Trainer::new(bert(0.0), spec, roles(), &data, &validation).unwrap();
        assert_eq!(trainer.resume().unwrap(), kept, "the checkpoint before the step is intact");
        let again = trainer.run(&mut Silent).unwrap_err();
        assert_eq!(again.to_string(), error.to_string(), "also of a run that goes on");
    }
    error
}

/// Files of tensors of all checkpoints that are whole.
fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    let whole = entries(directory).filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    whole
        .flat_map(|path| entries(&path))
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect()
}

#[test]
fn a_policy_that_makes_the_last_update_infinite_is_named_and_nothing_of_the_step_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let error = run(directory.path(), |_| (), (9, Some(9)), Some(Action::LrScale(1e45)));
    let told = error.to_string();
    assert!(told.starts_with("step 10: `classifier."), "{told}");
    assert!(told.contains("policy scripted gave `classifier` lr_scale 1"), "{told}");
    assert!(told.ends_with(" at step 9; nothing of this step is kept"), "{told}");
    assert_eq!(error.help().unwrap(), "have policy scripted change less, or leave it out of the recipe");
}

#[test]
fn a_learning_rate_that_makes_weights_infinite_is_named_with_its_value() {
    let directory = tempfile::tempdir().unwrap();
    let rate = |spec: &mut TrainSpec| {
        spec.optimizer = AdamW { learning_rate: 1e45, weight_decay: 0.0, ..spec.optimizer };
    };
    let error = run(directory.path(), rate, (0, None), None);
    let told = error.to_string();
    assert!(
        told.contains(": the learning rate is 1e45 and the weight decay 0e0; nothing of this step is kept"),
        "{told}"
    );
    assert!(error.help().unwrap().starts_with("lower optimizer.learning_rate"));
}

#[test]
fn weights_that_a_policy_draws_anew_and_infinite_are_its_fault_and_not_that_of_the_loss() {
    let directory = tempfile::tempdir().unwrap();
    let error = run(directory.path(), |_| (), (3, Some(2)), Some(Action::Reinit(InitScheme::Normal(1e39))));
    let told = error.to_string();
    assert!(told.starts_with("step 3: `classifier.weight` is not finite in "), "{told}");
    assert!(told.contains("policy scripted gave `classifier` reinit normal 1"), "{told}");
}

#[test]
fn finite_weights_that_a_policy_drew_anew_are_told_of_where_they_make_the_loss_infinite() {
    let directory = tempfile::tempdir().unwrap();
    let error = run(directory.path(), |_| (), (3, Some(3)), Some(Action::Reinit(InitScheme::Normal(1e38))));
    let told = error.to_string();
    assert!(told.starts_with("step 4: the numerator of loss"), "{told}");
    assert!(told.contains("; policy scripted gave layers new weights (reinit normal 1"), "{told}");
    assert!(error.help().unwrap().starts_with("have the policy give smaller weights"), "{:?}", error.help());
}

#[test]
fn a_model_with_weights_that_are_not_finite_is_not_exported() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = bert(0.0);
    let index = model.parameters().iter().position(|p| p.name == "classifier.bias").unwrap();
    let value = from_float32(vec![0.0, f32::INFINITY, 0.0], &[3], &retune_tensor::Device::flex()).unwrap();
    model.parameters_mut().set_value(index, value).unwrap();
    let target = directory.path().join("model");
    let told = model.export(&target, None).unwrap_err().to_string();
    assert!(told.contains("model.safetensors: `classifier.bias` has values that are infinite or no numbers"), "{told}");
    assert!(!target.exists(), "not even half of one");
}
