//! Killed anywhere and resumed, a run ends with the same bytes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use std::{fs, ops::ControlFlow, path::Path};

use retune_roles::{
    Action, Change, Event, Example, Policy, PolicyContract, Trigger,
    builtin::{Thaw, ThawConfig},
};
use retune_train::{
    Best, CheckpointSpec, EarlyStopping, EvaluationSpec, Every, Outcome, Roles, TrainError, TrainEvent, TrainSpec,
    Trainer,
};
use support::*;

/// Everything that has state: dropout, a policy that counts and reads statistics,
/// early stopping, best weights, a scheduler, accumulation with a short last window.
fn full_spec(directory: &Path) -> TrainSpec {
    TrainSpec {
        epochs: 4,
        gradient_accumulation_steps: 2,
        evaluation: EvaluationSpec {
            every: Every::Steps(4),
            best: Some(Best { metric: "accuracy".into(), mode: None }),
            early_stopping: Some(EarlyStopping { patience: 30, min_delta: 0.01 }),
            ..EvaluationSpec::default()
        },
        checkpoint: CheckpointSpec { every_steps: Some(3), ..spec(directory).checkpoint },
        ..spec(directory)
    }
}

/// Freezes and thaws by how often it was asked; scales by the statistics it was told.
fn script(event: &Event, asked: u64) -> Vec<Change> {
    if event.trigger == Trigger::Start {
        return Vec::new();
    }
    let change = |layers: &str, action| Change { layers: layers.into(), action, reason: String::new() };
    let told: f64 = event.layers.iter().filter_map(|l| Some(l.grad_norm? + l.update_ratio?)).sum();
    let scale = 0.5 + told.fract() / 2.0 + event.train_loss.unwrap_or(0.0).fract() / 10.0;
    let action = if asked.is_multiple_of(2) { Action::Unfreeze } else { Action::Freeze };
    vec![change("encoder.layer.0.*", action), change("classifier", Action::LrScale(scale))]
}

fn full_roles() -> Roles {
    let contract = PolicyContract { every_epoch: true, every_steps: Some(5), after_evaluation: true, stats: true };
    let policy: Box<dyn Policy> = Box::new(Scripted { contract, asked: 0, script });
    let loss = Box::new(Counting::new());
    Roles { policies: vec![policy], loss, ..roles() }
}

fn run_on(
    directory: &Path,
    data: &[Example],
    validation: &[Example],
    stop_after: Option<usize>,
) -> (Result<Outcome, TrainError>, Recorder) {
    let mut recorder = Recorder { stop_after, ..Recorder::default() };
    let mut trainer = Trainer::new(bert(0.1), full_spec(directory), full_roles(), &data, &validation).unwrap();
    trainer.resume().unwrap();
    (trainer.run(&mut recorder), recorder)
}

#[test]
fn a_run_killed_at_twenty_random_points_ends_with_the_same_bytes() {
    let (data, validation) = (rows(35, 1), rows(12, 2));
    let whole = tempfile::tempdir().unwrap();
    let (outcome, recorder) = run_on(whole.path(), &data, &validation, None);
    let outcome = outcome.unwrap();
    let expected = bytes(&outcome.model);
    assert_eq!(outcome.steps, 20);

    let mut draw = Draw(9);
    for kill in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let first = 1 + draw.below(recorder.events.len() as u64 - 1) as usize;
        let (stopped, _) = run_on(directory.path(), &data, &validation, Some(first));
        assert!(matches!(stopped, Err(TrainError::Stopped { .. })), "kill {kill}");
        // A second kill soon after, then to the end.
        let again = 1 + draw.below(12) as usize;
        if let (Ok(early), _) = run_on(directory.path(), &data, &validation, Some(again)) {
            assert_eq!(bytes(&early.model), expected, "kill {kill}");
        }
        let (resumed, _) = run_on(directory.path(), &data, &validation, None);
        let resumed = resumed.unwrap();
        assert_eq!(bytes(&resumed.model), expected, "killed after event {first}");
        assert_eq!((resumed.steps, resumed.best), (outcome.steps, outcome.best));
    }
}

#[test]
fn early_stopping_counts_on_after_a_restart() {
    let (data, validation) = (rows(35, 1), rows(12, 2));
    let patient = |directory: &Path| {
        let mut spec = full_spec(directory);
        // Nothing is better by this much, so the second evaluation after the first ends the run.
        spec.evaluation.early_stopping = Some(EarlyStopping { patience: 2, min_delta: 1.0 });
        spec
    };
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::default();
    let trainer = Trainer::new(bert(0.1), patient(directory.path()), full_roles(), &data, &validation).unwrap();
    let whole = trainer.run(&mut recorder).unwrap();
    assert_eq!((whole.steps, whole.ended.as_str()), (12, "early_stop"));

    let directory = tempfile::tempdir().unwrap();
    let stop = |event: &TrainEvent| {
        let before_the_end = matches!(event, TrainEvent::Step { step: 11, .. });
        if before_the_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let trainer = Trainer::new(bert(0.1), patient(directory.path()), full_roles(), &data, &validation).unwrap();
    assert!(trainer.run(&mut { stop }).is_err());
    let mut trainer = Trainer::new(bert(0.1), patient(directory.path()), full_roles(), &data, &validation).unwrap();
    assert_eq!(trainer.resume().unwrap(), Some(9));
    let resumed = trainer.run(&mut Recorder::default()).unwrap();
    assert_eq!((resumed.steps, resumed.ended.as_str()), (12, "early_stop"));
    assert_eq!(bytes(&resumed.model), bytes(&whole.model));
}

#[test]
fn a_run_whose_policies_had_the_last_word_in_turn_is_resumed_exactly() {
    // Layer 0 is frozen by both, and thawed by the first to speak: what the second says at step 15 came too late.
    let thaw = |layers: &str, step| -> Box<dyn Policy> {
        Box::new(Thaw::new(ThawConfig { layers: layers.into(), step }).unwrap())
    };
    let policies = || vec![thaw("encoder.layer.*.*", 10), thaw("encoder.layer.0.*", 20)];
    let data = rows(20, 1);
    let trainer = |directory: &Path| {
        let checkpoint = CheckpointSpec { every_steps: Some(5), ..spec(directory).checkpoint };
        let spec = TrainSpec { epochs: 5, checkpoint, ..spec(directory) };
        Trainer::new(bert(0.1), spec, Roles { policies: policies(), ..roles() }, &data, &[]).unwrap()
    };
    let directory = tempfile::tempdir().unwrap();
    let whole = trainer(directory.path()).run(&mut Recorder::default()).unwrap();
    assert_eq!(whole.steps, 25);

    let directory = tempfile::tempdir().unwrap();
    let stop = |event: &TrainEvent| match event {
        TrainEvent::Step { step: 17, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert!(trainer(directory.path()).run(&mut { stop }).is_err());
    let mut again = trainer(directory.path());
    assert_eq!(again.resume().unwrap(), Some(15));
    let mut recorder = Recorder::default();
    assert_eq!(bytes(&again.run(&mut recorder).unwrap().model), bytes(&whole.model));
    let changes = recorder.events.iter().filter_map(|event| match event {
        TrainEvent::PolicyChange { step, action, .. } => Some((*step, action.as_str())),
        _ => None,
    });
    assert_eq!(changes.collect::<Vec<_>>(), [(20, "unfreeze")], "nothing is decided anew at the restart");
}

#[test]
fn a_finished_run_is_not_trained_again() {
    let (data, validation) = (rows(20, 1), rows(6, 2));
    let directory = tempfile::tempdir().unwrap();
    let first = run_on(directory.path(), &data, &validation, None).0.unwrap();
    let (again, recorder) = run_on(directory.path(), &data, &validation, None);
    assert_eq!(bytes(&again.unwrap().model), bytes(&first.model));
    assert!(recorder.losses().is_empty());
}

fn newest(directory: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(directory.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("step-")).max().unwrap()
}

#[test]
fn a_torn_checkpoint_is_reported_and_skipped() {
    let (data, validation) = (rows(35, 1), rows(12, 2));
    let whole = tempfile::tempdir().unwrap();
    let expected = bytes(&run_on(whole.path(), &data, &validation, None).0.unwrap().model);
    type Tear = fn(&Path);
    let tears: [(&str, Tear); 5] = [
        ("optimizer.safetensors has", |c| {
            let file = c.join("optimizer.safetensors");
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("weights.safetensors does not have the digest", |c| {
            let file = c.join("weights.safetensors");
            let mut bytes = fs::read(&file).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(&file, bytes).unwrap();
        }),
        ("manifest.json cannot be read", |c| fs::remove_file(c.join("manifest.json")).unwrap()),
        ("manifest.json is damaged", |c| fs::write(c.join("manifest.json"), "{\"format\": 1, \"fi").unwrap()),
        ("state.json cannot be read", |c| fs::remove_file(c.join("state.json")).unwrap()),
    ];
    for (said, tear) in tears {
        let directory = tempfile::tempdir().unwrap();
        let stop_in_the_middle = Some(50);
        assert!(run_on(directory.path(), &data, &validation, stop_in_the_middle).0.is_err());
        let torn = newest(directory.path());
        tear(&torn);
        let (resumed, recorder) = run_on(directory.path(), &data, &validation, None);
        assert_eq!(bytes(&resumed.unwrap().model), expected, "{said}");
        let warnings = recorder.warnings();
        assert!(
            warnings.iter().any(|w| w.contains(torn.to_str().unwrap()) && w.contains(said)),
            "{said}: {warnings:?}"
        );
    }
}

#[test]
fn what_a_killed_write_leaves_behind_is_not_taken_for_a_checkpoint() {
    let (data, validation) = (rows(20, 1), rows(6, 2));
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("checkpoints/.writing-step-00000002")).unwrap();
    let mut trainer = Trainer::new(bert(0.1), full_spec(directory.path()), full_roles(), &data, &validation).unwrap();
    assert_eq!(trainer.resume().unwrap(), None);
    trainer.run(&mut Recorder::default()).unwrap();
}

#[test]
fn only_as_many_checkpoints_are_kept_as_were_asked_for() {
    let (data, validation) = (rows(35, 1), rows(12, 2));
    let directory = tempfile::tempdir().unwrap();
    let best = run_on(directory.path(), &data, &validation, None).0.unwrap().best.unwrap();
    let mut names: Vec<String> = fs::read_dir(directory.path().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [format!("best-{:08}", best.0), "step-00000018".into(), "step-00000020".into()]);
}

#[test]
fn other_validation_rows_are_refused_only_where_they_decide() {
    let (data, validation, other) = (rows(20, 1), rows(6, 2), rows(6, 3));
    let resume_on_other_rows = |evaluation: EvaluationSpec, policy: PolicyContract| {
        let directory = tempfile::tempdir().unwrap();
        let spec = TrainSpec { epochs: 1, evaluation, ..spec(directory.path()) };
        let trainer = |validation| {
            let policy: Box<dyn Policy> =
                Box::new(Scripted { contract: policy, asked: 0, script: |_: &Event, _| Vec::new() });
            Trainer::new(bert(0.0), spec.clone(), Roles { policies: vec![policy], ..roles() }, &data, validation)
                .unwrap()
        };
        trainer(&validation).run(&mut Recorder::default()).unwrap();
        trainer(&other).resume().map_err(|error| error.to_string())
    };
    let (plain, deaf) = (EvaluationSpec::default, PolicyContract::default);
    assert_eq!(resume_on_other_rows(plain(), deaf()), Ok(Some(5)), "they are only looked at");
    let asks = PolicyContract { after_evaluation: true, ..deaf() };
    let stops = EvaluationSpec { early_stopping: Some(EarlyStopping { patience: 3, min_delta: 0.0 }), ..plain() };
    let chooses = EvaluationSpec { best: Some(Best { metric: "loss".into(), mode: None }), ..plain() };
    let blind = EvaluationSpec { every: Every::Never, ..plain() };
    assert_eq!(resume_on_other_rows(blind, asks), Ok(Some(5)), "they are never looked at");
    for (evaluation, policy) in [(plain(), asks), (stops, deaf()), (chooses, deaf())] {
        let said = resume_on_other_rows(evaluation, policy).unwrap_err();
        assert!(said.ends_with("it was made with other validation rows"), "{said}");
    }
}

#[test]
fn best_weights_do_not_pile_up_between_checkpoints_and_those_of_a_checkpoint_stay() {
    let (data, validation) = (rows(48, 1), rows(24, 2));
    let trainer = |directory: &Path| {
        let evaluation = EvaluationSpec {
            every: Every::Steps(1),
            best: Some(Best { metric: "loss".into(), mode: None }),
            ..EvaluationSpec::default()
        };
        let checkpoint = CheckpointSpec { every_steps: Some(12), keep: 1, ..spec(directory).checkpoint };
        let mut trainer = Trainer::new(
            bert(0.0),
            TrainSpec { evaluation, checkpoint, ..spec(directory) },
            roles(),
            &data,
            &validation,
        )
        .unwrap();
        (trainer.resume().unwrap(), trainer)
    };
    let directory = tempfile::tempdir().unwrap();
    let whole = trainer(directory.path()).1.run(&mut Recorder::default()).unwrap();

    let directory = tempfile::tempdir().unwrap();
    let (mut most, mut better) = (0, 0);
    let mut stop = |event: &TrainEvent| {
        if let TrainEvent::Evaluation { best: Some(true), step: 13.., .. } = event {
            better += 1;
        }
        let names = fs::read_dir(directory.path().join("checkpoints")).into_iter().flatten();
        let best = names.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("best-"));
        most = most.max(best.count());
        if better == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(trainer(directory.path()).1.run(&mut stop).is_err());
    assert_eq!(most, 2, "one of the run, one of the checkpoint");
    let (resumed, again) = trainer(directory.path());
    assert_eq!(resumed, Some(12));
    let again = again.run(&mut Recorder::default()).unwrap();
    assert_eq!((bytes(&again.model), again.best), (bytes(&whole.model), whole.best));
}

#[test]
fn a_checkpoint_of_other_settings_data_or_roles_is_refused_with_the_difference() {
    let (data, validation) = (rows(20, 1), rows(6, 2));
    let directory = tempfile::tempdir().unwrap();
    run_on(directory.path(), &data, &validation, None).0.unwrap();
    let refusal = |spec: TrainSpec, roles: Roles, data: &[Example]| {
        Trainer::new(bert(0.1), spec, roles, &data, &validation).unwrap().resume().unwrap_err().to_string()
    };
    let mut other = full_spec(directory.path());
    other.optimizer.learning_rate = 1e-4;
    let said = refusal(other, full_roles(), &data);
    assert!(said.ends_with("it was made with optimizer.learning_rate = 0.005, this run has 0.0001"), "{said}");
    let said = refusal(full_spec(directory.path()), roles(), &data);
    assert!(said.ends_with("it was made with the roles counting, scripted; this run has cross-entropy"), "{said}");
    let said = refusal(full_spec(directory.path()), full_roles(), &rows(20, 3));
    assert!(said.ends_with("it was made with other training rows"), "{said}");

    let error = Trainer::new(bert(0.1), full_spec(directory.path()), full_roles(), &data, &rows(6, 3))
        .and_then(|mut trainer| trainer.resume())
        .unwrap_err();
    assert!(error.to_string().ends_with("it was made with other validation rows"), "{error}");
    assert!(error.help().unwrap().contains("recipe, data and plugins it was made with"));

    let start = Trainer::new(bert(0.1), full_spec(directory.path()), full_roles(), &data, &validation).unwrap();
    let error = start.run(&mut Recorder::default()).unwrap_err();
    assert!(error.to_string().ends_with("an earlier run has left this checkpoint here"), "{error}");
}
