//! Several workers train what one trains, stop together, and go on together.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use std::{cell::Cell, ops::ControlFlow, path::Path, thread};

use retune_roles::{
    Batch, Example, InputSpec, Loss, LossOutput, Progress, Reported,
    builtin::{Accuracy, CrossEntropy},
};
use retune_train::{
    Best, CheckpointSpec, EvaluationSpec, Observer, Roles, TrainError, TrainEvent, TrainSpec, Trainer, model::Model,
};
use support::{
    peers::{Peer, peers},
    *,
};

/// Cross-entropy that reports the mean class, and is not finite on the row called `bad`.
struct Reporting {
    inner: CrossEntropy,
    bad: &'static str,
}

impl Loss for Reporting {
    fn name(&self) -> &str {
        "reporting"
    }
    fn wants(&self) -> &[InputSpec] {
        self.inner.wants()
    }
    fn compute(&mut self, batch: &Batch, at: &Progress) -> retune_roles::Result<LossOutput> {
        let mut output = self.inner.compute(batch, at)?;
        let labels = batch.get("labels").unwrap();
        let sum = labels.cast(retune_tensor::Dtype::Float32).unwrap().sum(&[], false).unwrap();
        output.reported = vec![Reported { name: "class".into(), sum, count: output.denominator.clone() }];
        if batch.keys().iter().any(|key| key == self.bad) {
            output.numerator = output.numerator.mul_scalar(f64::NAN).unwrap();
        }
        Ok(output)
    }
}

fn roles_with(bad: &'static str) -> Roles {
    let loss = Reporting { inner: CrossEntropy::for_sequences(), bad };
    Roles { metrics: vec![Box::new(Accuracy::new())], ..Roles::new(Box::new(loss)) }
}

/// Windows of eight rows: of one worker's two micro-batches, or of one of each of two.
fn window(directory: &Path, workers: usize) -> TrainSpec {
    TrainSpec {
        epochs: 3,
        batch_size: 4,
        gradient_accumulation_steps: 2 / workers,
        evaluation: EvaluationSpec {
            best: Some(Best { metric: "loss".into(), mode: None }),
            ..EvaluationSpec::default()
        },
        checkpoint: CheckpointSpec { every_steps: Some(4), ..spec(directory).checkpoint },
        ..spec(directory)
    }
}

/// Interrupts when it was asked so often.
struct Watching {
    recorder: Recorder,
    asks_left: Cell<Option<usize>>,
}

impl Observer for Watching {
    fn event(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        self.recorder.event(event)
    }

    fn interrupted(&self) -> bool {
        self.asks_left.set(self.asks_left.get().map(|left| left.saturating_sub(1)));
        self.asks_left.get() == Some(0)
    }
}

struct Came {
    result: Result<Model, TrainError>,
    recorder: Recorder,
}

/// Trains with two threads; `interrupt` is a rank and after how many questions it says yes.
fn together(
    directory: &Path,
    data: &[Example],
    bad: &'static str,
    resume: bool,
    interrupt: Option<(usize, usize)>,
) -> Vec<Came> {
    let validation = rows(6, 2);
    thread::scope(|scope| {
        let work = |peer: Peer| {
            let rank = retune_train::training::workers::Workers::rank(&peer);
            let asks = interrupt.filter(|(who, _)| *who == rank).map(|(_, asks)| asks);
            let mut watching = Watching { recorder: Recorder::default(), asks_left: Cell::new(asks) };
            let spec = window(directory, 2);
            let trainer = Trainer::new(bert(0.1), spec, roles_with(bad), &data, &validation);
            let result = trainer.and_then(|trainer| trainer.with_workers(Box::new(peer))).and_then(|mut trainer| {
                if resume {
                    trainer.resume()?;
                }
                trainer.run(&mut watching).map(|outcome| outcome.model)
            });
            Came { result, recorder: watching.recorder }
        };
        let threads: Vec<_> = peers(2).into_iter().map(|peer| scope.spawn(move || work(peer))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn alone(directory: &Path, data: &[Example]) -> (Model, Recorder) {
    let validation = rows(6, 2);
    let (outcome, recorder) = train(bert(0.1), window(directory, 1), roles_with(""), data, &validation);
    (outcome.unwrap().model, recorder)
}

/// Relative distance of all weights, in float64.
fn distance(a: &Model, b: &Model) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (a, b) in a.parameters().iter().zip(b.parameters()) {
        for (a, b) in a.value.to_float32().unwrap().into_iter().zip(b.value.to_float32().unwrap()) {
            difference += f64::from(a - b).powi(2);
            size += f64::from(a).powi(2);
        }
    }
    (difference / size).sqrt()
}

/// Number, loss, rows, tokens and reported values of a step.
type Step = (u64, f64, u64, u64, Vec<(String, f64)>);

fn steps(recorder: &Recorder) -> Vec<Step> {
    let each = recorder.events.iter().filter_map(|event| match event {
        TrainEvent::Step { step, loss, rows, tokens, reported, .. } => {
            Some((*step, *loss, *rows, *tokens, reported.clone()))
        }
        _ => None,
    });
    each.collect()
}

#[test]
fn two_workers_train_the_weights_of_one_although_a_share_is_empty() {
    // Of nine rows the second window has one, so that the first worker has none in it.
    let data = rows(9, 1);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (model, recorder) = alone(one.path(), &data);
    let before = distance(&model, &bert(0.1));
    assert!(before > 1e-3, "{before}");
    for came in together(two.path(), &data, "", false, None) {
        let distance = distance(&model, &came.result.unwrap());
        assert!(distance < 1e-6, "{distance:e}");
        let (ours, theirs) = (steps(&recorder), steps(&came.recorder));
        assert_eq!(ours.iter().map(|step| step.2).collect::<Vec<_>>(), [8, 1, 8, 1, 8, 1]);
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(&theirs) {
            assert_eq!((a.0, a.2, a.3, &a.4), (b.0, b.2, b.3, &b.4), "step, rows, tokens and what the loss reports");
            assert!((a.1 - b.1).abs() < 1e-6 * a.1);
        }
        assert_eq!(recorder.evaluations().len(), came.recorder.evaluations().len());
    }
}

#[test]
fn a_loss_that_is_not_finite_on_one_worker_ends_all_at_the_same_step() {
    let directory = tempfile::tempdir().unwrap();
    let said: Vec<String> = together(directory.path(), &rows(9, 1), "train.csv:5", false, None)
        .into_iter()
        .map(|came| came.result.err().unwrap().to_string())
        .collect();
    let peer = said.iter().find(|said| said.starts_with("worker ")).unwrap();
    let own = said.iter().find(|said| said.contains("the numerator of loss reporting is NaN")).unwrap();
    assert!(peer.ends_with("failed at step 1, so all have stopped; no weight was changed"), "{peer}");
    assert!(own.starts_with("step 1: ") && own.contains("train.csv:5"), "{own}");
}

#[test]
fn workers_that_one_of_them_interrupts_stop_at_one_step_and_go_on_to_the_same_weights() {
    let data = rows(9, 1);
    let whole = tempfile::tempdir().unwrap();
    let expected: Vec<_> = together(whole.path(), &data, "", false, None);
    let expected = bytes(expected[0].result.as_ref().unwrap());
    for interrupt in [(0, 1), (1, 3), (0, 6), (1, 8)] {
        let directory = tempfile::tempdir().unwrap();
        let stopped: Vec<String> = together(directory.path(), &data, "", false, Some(interrupt))
            .into_iter()
            .map(|came| came.result.err().unwrap().to_string())
            .collect();
        assert!(stopped[0].starts_with("stopped after step "), "{}", stopped[0]);
        assert_eq!(stopped[0], stopped[1]);
        for came in together(directory.path(), &data, "", true, None) {
            assert_eq!(bytes(&came.result.unwrap()), expected, "{interrupt:?}");
        }
    }
}

#[test]
fn a_checkpoint_of_two_workers_is_refused_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let (data, validation) = (rows(9, 1), rows(6, 2));
    together(directory.path(), &data, "", false, None);
    let spec = window(directory.path(), 2);
    let said = Trainer::new(bert(0.1), spec, roles_with(""), &data, &validation).unwrap().resume().unwrap_err();
    let end = "it was made by 2 workers and this run has 1, so that a step would have other rows";
    assert!(said.to_string().ends_with(end), "{said}");
}

#[test]
fn a_loss_with_a_state_of_its_own_is_refused_for_two_workers() {
    let directory = tempfile::tempdir().unwrap();
    let (data, validation) = (rows(9, 1), rows(6, 2));
    let roles = Roles { loss: Box::new(Counting::new()), ..roles() };
    let trainer = Trainer::new(bert(0.1), window(directory.path(), 2), roles, &data, &validation).unwrap();
    let said = trainer.with_workers(Box::new(peers(2).remove(0))).err().unwrap().to_string();
    assert!(said.starts_with("workers: loss counting keeps a state between steps, which 2 workers"), "{said}");
}
