//! A run that is interrupted stops at the next micro-batch, writes a checkpoint, and goes on as if nothing had happened.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use std::{cell::Cell, fs, ops::ControlFlow, path::Path};

use retune_roles::{Action, Change, Event, Policy, PolicyContract, Trigger};
use retune_train::{
    Best, CheckpointSpec, EvaluationSpec, Every, HeldOut, Observer, Outcome, Roles, TrainError, TrainEvent, TrainSpec,
    Trainer, evaluate,
};
use support::*;

/// Says yes from the `after`th question on.
struct Impatient {
    recorder: Recorder,
    asked: Cell<usize>,
    after: usize,
}

impl Impatient {
    fn new(after: usize) -> Self {
        Self { recorder: Recorder::default(), asked: Cell::new(0), after }
    }
}

impl Observer for Impatient {
    fn event(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        self.recorder.event(event)
    }

    fn interrupted(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() >= self.after
    }
}

/// Dropout, windows of two micro-batches, a loss that remembers, a policy that counts and hears of
/// evaluations, the best weights, evaluations in several batches.
fn run(directory: &Path, resume: bool, after: usize) -> (Result<Outcome, TrainError>, Impatient) {
    let (data, validation) = (rows(20, 1), rows(7, 2));
    let spec = TrainSpec {
        epochs: 2,
        gradient_accumulation_steps: 2,
        group_by_length: true,
        evaluation: EvaluationSpec {
            every: Every::Steps(2),
            best: Some(Best { metric: "accuracy".into(), mode: None }),
            ..EvaluationSpec::default()
        },
        checkpoint: CheckpointSpec { every_steps: Some(100), ..spec(directory).checkpoint },
        ..spec(directory)
    };
    let script = |event: &Event, asked: u64| {
        let Trigger::Evaluation(_) = event.trigger else { return Vec::new() };
        let scale = Action::LrScale(1.0 / (1.0 + asked as f64));
        vec![Change { layers: "classifier".into(), action: scale, reason: String::new() }]
    };
    let contract = PolicyContract { after_evaluation: true, every_steps: Some(1), ..PolicyContract::default() };
    let policy: Box<dyn Policy> = Box::new(Scripted { contract, asked: 0, script });
    let roles = Roles { policies: vec![policy], loss: Box::new(Counting::new()), ..roles() };
    let mut observer = Impatient::new(after);
    let result = Trainer::new(bert(0.1), spec, roles, &data, &validation).and_then(|mut trainer| {
        if resume {
            trainer.resume()?;
        }
        trainer.run(&mut observer)
    });
    (result, observer)
}

fn steps(observer: &Impatient) -> Vec<u64> {
    let step = |event: &TrainEvent| if let TrainEvent::Step { step, .. } = event { Some(*step) } else { None };
    observer.recorder.events.iter().filter_map(step).collect()
}

#[test]
fn a_run_that_is_interrupted_anywhere_goes_on_from_that_step_to_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let (outcome, observer) = run(whole.path(), false, usize::MAX);
    let expected = bytes(&outcome.unwrap().model);
    let evaluations = observer.recorder.evaluations();
    let questions = observer.asked.get();
    // Six steps of at least one micro-batch, three evaluations of two batches.
    assert!(questions >= 12, "{questions}");
    for after in 1..=questions {
        let directory = tempfile::tempdir().unwrap();
        let (stopped, first) = run(directory.path(), false, after);
        // An evaluation that is given up asks once more, whether that was the reason.
        assert!(first.asked.get() <= after + 1, "question {after} is answered at once: {}", first.asked.get());
        let Err(TrainError::Stopped { step }) = stopped else { panic!("question {after}: {stopped:?}") };
        assert_eq!(steps(&first).last().copied().unwrap_or(0), step);
        let checkpoint = directory.path().join(format!("checkpoints/step-{step:08}"));
        assert_eq!(checkpoint.is_dir(), step > 0, "question {after}");
        if step > 0 {
            let Some(TrainEvent::Checkpoint { step: told, .. }) = first.recorder.events.last() else { panic!() };
            assert_eq!(*told, step);
        }

        let (outcome, second) = run(directory.path(), true, usize::MAX);
        assert_eq!(bytes(&outcome.unwrap().model), expected, "question {after}");
        assert_eq!([steps(&first), steps(&second)].concat(), [1, 2, 3, 4, 5, 6]);
        let both = [first.recorder.evaluations(), second.recorder.evaluations()].concat();
        assert_eq!(both, evaluations, "question {after}: nothing is evaluated twice or left out");
    }
}

#[test]
fn an_evaluation_that_is_interrupted_ends_between_two_batches() {
    let mut observer = Impatient::new(3);
    let mut loss = retune_roles::builtin::CrossEntropy::for_sequences();
    let validation = rows(9, 2);
    let stopped = evaluate(&bert(0.0), &HeldOut::new(&validation, 2), &mut loss, &mut [], &mut observer);
    assert!(matches!(stopped, Err(TrainError::Stopped { .. })));
    assert_eq!(observer.recorder.events.len(), 2, "two batches were done");
}

#[test]
fn what_a_killed_run_was_writing_is_gone_and_what_it_was_replacing_is_back() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), false, 8).0.unwrap_err();
    let checkpoints = directory.path().join("checkpoints");
    let names = || {
        let mut names: Vec<String> = fs::read_dir(&checkpoints)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with("best-"))
            .collect();
        names.sort();
        names
    };
    let [step] = names().try_into().unwrap();
    fs::rename(checkpoints.join(&step), checkpoints.join(format!(".replaced-{step}"))).unwrap();
    fs::create_dir(checkpoints.join(".writing-step-00000004")).unwrap();
    fs::write(checkpoints.join(".writing-step-00000004/weights.safetensors"), "half").unwrap();
    fs::create_dir(checkpoints.join(".writing-notes")).unwrap();
    let (outcome, _) = run(directory.path(), true, 1);
    assert!(matches!(outcome, Err(TrainError::Stopped { .. })));
    assert_eq!(names(), [".writing-notes".to_string(), step], "only what is a checkpoint's is touched");
}
