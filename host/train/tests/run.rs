//! A run from start to end: it learns, it is the same twice, it keeps the best.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use retune_roles::{
    Batch, InputSpec, Loss, LossOutput, Metric, Progress, ValueSpec,
    builtin::{CrossEntropy, Perplexity},
};
use retune_train::{
    Best, EarlyStopping, EvaluationSpec, Every, HeldOut, LrScheduler, Roles, SchedulerName, Silent, TrainEvent,
    TrainSpec, evaluate, predict,
};
use support::*;

#[test]
fn a_tiny_bert_learns_its_three_classes() {
    let directory = tempfile::tempdir().unwrap();
    let (data, validation) = (rows(96, 1), rows(48, 2));
    let spec = TrainSpec { epochs: 8, batch_size: 8, ..spec(directory.path()) };
    let (outcome, recorder) = train(bert(0.1), spec, roles(), &data, &validation);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.steps, 96);
    let evaluations = recorder.evaluations();
    assert_eq!(evaluations.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [12, 24, 36, 48, 60, 72, 84, 96]);
    let accuracy = evaluations.last().unwrap().1.iter().find(|(name, _)| name == "accuracy").unwrap().1;
    assert!(accuracy > 0.8, "{accuracy}");
    assert!(recorder.losses()[90..].iter().sum::<f64>() < 0.5 * recorder.losses()[..6].iter().sum::<f64>());

    let predictions = predict(&outcome.model, &validation, 7).unwrap();
    let right = predictions
        .iter()
        .zip(&validation)
        .filter(|(p, row)| row.target == retune_roles::Target::Class(p.label as u32));
    assert!((right.count() as f64 / 48.0 - accuracy).abs() < 1e-9);
    assert!(predictions.iter().all(|p| (p.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9));
}

#[test]
fn the_same_recipe_gives_the_same_bytes_and_another_seed_does_not() {
    let run = |seed| {
        let directory = tempfile::tempdir().unwrap();
        let spec = TrainSpec { seed, ..spec(directory.path()) };
        bytes(&train(bert(0.1), spec, roles(), &rows(20, 1), &rows(8, 2)).0.unwrap().model)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn the_schedule_counts_optimiser_steps() {
    let directory = tempfile::tempdir().unwrap();
    let mut spec = TrainSpec { gradient_accumulation_steps: 2, epochs: 2, ..spec(directory.path()) };
    spec.optimizer.learning_rate = 1.0;
    spec.max_grad_norm = Some(1e-9);
    spec.lr_scheduler = LrScheduler { name: SchedulerName::Linear, warmup_steps: Some(2), warmup_ratio: None };
    // 20 rows in windows of 8: three steps an epoch, six in all.
    let (outcome, recorder) = train(bert(0.0), spec, roles(), &rows(20, 1), &[]);
    outcome.unwrap();
    let rates: Vec<f64> = recorder
        .events
        .iter()
        .filter_map(|e| if let TrainEvent::Step { learning_rate, .. } = e { Some(*learning_rate) } else { None })
        .collect();
    assert_eq!(rates, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]);
}

#[test]
fn gradients_are_divided_and_clipped_before_the_optimiser_sees_them() {
    // After one step the running mean is a tenth of the gradient.
    let mean = |max_grad_norm: Option<f64>, batch_size: usize| {
        let directory = tempfile::tempdir().unwrap();
        let spec = TrainSpec {
            max_steps: Some(1),
            batch_size,
            gradient_accumulation_steps: 8 / batch_size,
            max_grad_norm,
            ..spec(directory.path())
        };
        let (outcome, recorder) = train(bert(0.0), spec, roles(), &rows(20, 1), &[]);
        outcome.unwrap();
        let file = std::fs::read(directory.path().join("checkpoints/step-00000001/optimizer.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
        let means = tensors.iter().filter(|(name, _)| name.ends_with(".exp_avg"));
        let floats = means.flat_map(|(_, tensor)| tensor.data().chunks_exact(4).collect::<Vec<_>>());
        let norm = floats.map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())).powi(2)).sum::<f64>().sqrt();
        let told = recorder.events.iter().find_map(|e| match e {
            TrainEvent::Step { grad_norm, .. } => Some(*grad_norm),
            _ => None,
        });
        (norm, told.unwrap())
    };
    let (free, norm) = mean(None, 8);
    assert!(norm > 0.5 && (free - 0.1 * norm).abs() < 1e-5 * norm, "{free} is not a tenth of {norm}");
    for batch_size in [8, 2] {
        let (clipped, told) = mean(Some(0.5), batch_size);
        assert!((clipped - 0.05).abs() < 1e-5, "{clipped}");
        assert!((told - norm).abs() < 1e-5 * norm, "the norm before clipping is told");
    }
}

#[test]
fn the_run_ends_with_the_weights_that_validation_chose() {
    let directory = tempfile::tempdir().unwrap();
    let (data, validation) = (rows(24, 1), rows(24, 2));
    let mut spec = TrainSpec { epochs: 12, ..spec(directory.path()) };
    spec.evaluation =
        EvaluationSpec { best: Some(Best { metric: "loss".into(), mode: None }), ..EvaluationSpec::default() };
    let (outcome, recorder) = train(bert(0.0), spec.clone(), roles(), &data, &validation);
    let outcome = outcome.unwrap();
    let losses: Vec<(u64, f64)> =
        recorder.evaluations().into_iter().map(|(step, values)| (step, values[0].1)).collect();
    let best = losses.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(outcome.best, Some(best));
    assert!(best.0 < outcome.steps, "the data is too small not to be overfitted: {losses:?}");
    let mut loss = CrossEntropy::for_sequences();
    let again = evaluate(&outcome.model, &HeldOut::new(&validation, 4), &mut loss, &mut [], &mut Silent).unwrap();
    assert_eq!(again.loss, best.1);
}

#[test]
fn a_run_that_gets_no_better_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let mut spec = TrainSpec { epochs: 9, ..spec(directory.path()) };
    spec.optimizer.learning_rate = 1e-12;
    spec.evaluation.early_stopping = Some(EarlyStopping { patience: 3, min_delta: 0.01 });
    let (outcome, recorder) = train(bert(0.0), spec, roles(), &rows(8, 1), &rows(8, 2));
    let outcome = outcome.unwrap();
    assert_eq!((outcome.ended.as_str(), outcome.steps), ("early_stop", 8));
    assert!(recorder.events.iter().any(|e| matches!(e, TrainEvent::EarlyStop { step: 8, patience: 3, .. })));
}

#[test]
fn neither_how_often_nor_in_what_batches_a_run_is_evaluated_changes_training_with_a_loss_that_remembers() {
    let (data, validation) = (rows(24, 1), rows(11, 2));
    let trained = |every, batch_size| {
        let directory = tempfile::tempdir().unwrap();
        let evaluation = EvaluationSpec { every, batch_size, ..EvaluationSpec::default() };
        let spec = TrainSpec { evaluation, ..spec(directory.path()) };
        let roles = Roles { loss: Box::new(Counting::new()), ..roles() };
        let outcome = train(bert(0.0), spec, roles, &data, &validation).0.unwrap();
        let last = directory.path().join("checkpoints/step-00000012/roles.safetensors");
        (bytes(&outcome.model), std::fs::read(last).unwrap())
    };
    let never = trained(Every::Never, None);
    assert!(trained(Every::Epoch, None) == never);
    assert!(trained(Every::Steps(1), Some(5)) == never);
    assert!(trained(Every::Steps(5), Some(1)) == never);
}

#[test]
fn a_language_model_learns_and_its_perplexity_is_the_exponential_of_its_loss() {
    let directory = tempfile::tempdir().unwrap();
    let (data, validation) = (token_rows(48, 1), token_rows(12, 2));
    let roles =
        Roles { metrics: vec![Box::new(Perplexity::new())], ..Roles::new(Box::new(CrossEntropy::for_tokens())) };
    let mut spec = TrainSpec { epochs: 6, ..spec(directory.path()) };
    spec.evaluation = EvaluationSpec {
        every: Every::Steps(30),
        best: Some(Best { metric: "perplexity".into(), mode: None }),
        ..EvaluationSpec::default()
    };
    let (outcome, recorder) = train(llama(), spec, roles, &data, &validation);
    outcome.unwrap();
    let evaluations = recorder.evaluations();
    assert_eq!(evaluations.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [30, 60, 72]);
    for (_, values) in &evaluations {
        assert!((values[0].1.exp() / values[1].1 - 1.0).abs() < 1e-5, "{values:?}");
    }
    assert!(evaluations[2].1[1].1 < 0.5 * 57.0, "{evaluations:?}");
}

/// Cross-entropy that spoils its answer from step `from` on.
struct Spoilt<F> {
    inner: CrossEntropy,
    from: u64,
    spoil: F,
}

impl<F: Fn(LossOutput) -> LossOutput> Loss for Spoilt<F> {
    fn name(&self) -> &str {
        "spoilt"
    }
    fn wants(&self) -> &[InputSpec] {
        self.inner.wants()
    }
    fn compute(&mut self, batch: &Batch, at: &Progress) -> retune_roles::Result<LossOutput> {
        let output = self.inner.compute(batch, at)?;
        Ok(if at.step >= self.from { (self.spoil)(output) } else { output })
    }
}

fn spoilt(spoil: impl Fn(LossOutput) -> LossOutput + 'static) -> String {
    let directory = tempfile::tempdir().unwrap();
    let loss = Spoilt { inner: CrossEntropy::for_sequences(), from: 3, spoil };
    let mut spec = spec(directory.path());
    spec.checkpoint.every_steps = Some(1);
    let data = rows(20, 1);
    let (outcome, _) = train(bert(0.0), spec.clone(), Roles::new(Box::new(loss)), &data, &[]);
    let error = outcome.unwrap_err().to_string();
    // The last checkpoint is intact, and a sound loss under the same name goes on from it.
    let sound = Spoilt { inner: CrossEntropy::for_sequences(), from: u64::MAX, spoil: |output| output };
    let mut trainer = retune_train::Trainer::new(bert(0.0), spec, Roles::new(Box::new(sound)), &data, &[]).unwrap();
    assert_eq!(trainer.resume().unwrap(), Some(3));
    trainer.run(&mut Silent).unwrap();
    error
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_with_step_rows_and_name() {
    let nan = |mut output: LossOutput| {
        output.numerator = output.numerator.mul_scalar(f64::NAN).unwrap();
        output
    };
    let said = spoilt(nan);
    assert!(said.starts_with("step 4: the numerator of loss spoilt is NaN on rows train.csv:"), "{said}");
    assert!(said.ends_with("; no weight was changed"), "{said}");
    assert_eq!(said.matches("train.csv:").count(), 4, "{said}");
}

#[test]
fn a_loss_of_the_wrong_shape_or_without_a_gradient_is_refused() {
    let said = spoilt(|mut output| {
        output.numerator = output.numerator.reshape(&[1]).unwrap();
        output
    });
    assert_eq!(said, "loss spoilt failed in `compute` at step 4: the numerator has shape [1], expected []");
    let said = spoilt(|mut output| {
        output.numerator = output.numerator.detach().unwrap();
        output
    });
    assert_eq!(
        said,
        "loss spoilt failed in `compute` at step 4: the numerator does not depend on the model, so nothing can be learnt from it"
    );
    let said = spoilt(|mut output| {
        output.denominator = output.denominator.mul_scalar(-1.0).unwrap();
        output
    });
    assert!(said.contains("the denominator is -4; it is a count"), "{said}");
}

#[test]
fn a_step_without_any_label_is_told_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut data = token_rows(4, 1);
    for row in &mut data {
        row.sequences[0].learnt.clear();
    }
    let before = bytes(&llama());
    let spec = TrainSpec { epochs: 1, ..spec(directory.path()) };
    let (outcome, recorder) = train(llama(), spec, Roles::new(Box::new(CrossEntropy::for_tokens())), &data, &[]);
    assert_eq!(bytes(&outcome.unwrap().model), before);
    assert!(recorder.warnings()[0].contains("no validation set"));
    assert!(recorder.warnings()[1].contains("no row of this step carries a loss"), "{:?}", recorder.warnings());
}

/// Cross-entropy times a factor that depends on the step.
struct Scaled(CrossEntropy, fn(u64) -> f64);

impl Loss for Scaled {
    fn name(&self) -> &str {
        "scaled"
    }
    fn wants(&self) -> &[InputSpec] {
        self.0.wants()
    }
    fn compute(&mut self, batch: &Batch, at: &Progress) -> retune_roles::Result<LossOutput> {
        let output = self.0.compute(batch, at)?;
        Ok(LossOutput { numerator: output.numerator.mul_scalar((self.1)(at.step)).unwrap(), ..output })
    }
}

#[test]
fn a_loss_whose_gradient_is_zero_in_the_first_steps_is_told_once() {
    let said = |factor: fn(u64) -> f64, rows_of_it: usize| {
        let directory = tempfile::tempdir().unwrap();
        let roles = Roles { loss: Box::new(Scaled(CrossEntropy::for_sequences(), factor)), ..roles() };
        let (outcome, recorder) = train(bert(0.0), spec(directory.path()), roles, &rows(rows_of_it, 1), &rows(4, 2));
        outcome.unwrap();
        let at = recorder.events.iter().filter_map(|event| match event {
            TrainEvent::Warning { step, message } => Some((*step, message.clone())),
            _ => None,
        });
        at.collect::<Vec<_>>()
    };
    let told = said(|_| 0.0, 20);
    let message = "the gradient of loss scaled was exactly zero everywhere in the first 3 steps, so nothing is learnt from it: look \
                   for a factor of zero, or a function that is flat where the model's outputs are";
    assert_eq!(told, [(3, message.to_string())]);
    // A run that is shorter than that is told at its end.
    let told = said(|_| 0.0, 4);
    assert!(told.len() == 1 && told[0].0 == 2 && told[0].1.contains("in the first 2 steps"), "{told:?}");
    assert_eq!(said(|step| if step == 2 { 1.0 } else { 0.0 }, 20), [], "one step learns");
    assert_eq!(said(|_| 1e-30, 20), [], "a gradient that is small is one");
}

/// A metric that is undefined on any data.
struct Undefined(Vec<ValueSpec>);

impl Metric for Undefined {
    fn name(&self) -> &str {
        "undefined"
    }
    fn describe(&self) -> &[ValueSpec] {
        &self.0
    }
    fn wants(&self) -> &[InputSpec] {
        &[]
    }
    fn update(&mut self, _batch: &Batch) -> retune_roles::Result<()> {
        Ok(())
    }
    fn snapshot(&mut self) -> retune_roles::Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn merge(&mut self, _snapshot: &[u8]) -> retune_roles::Result<()> {
        Ok(())
    }
    fn compute(&mut self) -> retune_roles::Result<Vec<(String, f64)>> {
        Ok(vec![("f1".into(), f64::NAN)])
    }
    fn reset(&mut self) -> retune_roles::Result<()> {
        Ok(())
    }
}

#[test]
fn a_metric_that_is_never_a_number_has_no_best_weights_and_that_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let described = ValueSpec { name: "f1".into(), unit: None, higher_is_better: true };
    let roles = Roles { metrics: vec![Box::new(Undefined(vec![described]))], ..roles() };
    let mut spec = spec(directory.path());
    spec.evaluation.best = Some(Best { metric: "f1".into(), mode: None });
    let (outcome, recorder) = train(bert(0.0), spec, roles, &rows(8, 1), &rows(4, 2));
    assert_eq!(outcome.unwrap().best, None);
    assert_eq!(
        recorder.warnings(),
        ["evaluation.best: `f1` was not a number at any evaluation, so none is the best; the run ends with the \
             weights of its last step"]
    );
}

#[test]
fn a_warm_up_as_long_as_the_run_is_told_before_training() {
    let directory = tempfile::tempdir().unwrap();
    let mut spec = TrainSpec { epochs: 1, ..spec(directory.path()) };
    spec.lr_scheduler.warmup_ratio = Some(0.1);
    let (outcome, recorder) = train(bert(0.0), spec, roles(), &rows(4, 1), &rows(4, 2));
    assert_eq!(outcome.unwrap().steps, 1);
    let warning = recorder.events.iter().position(|event| matches!(event, TrainEvent::Warning { .. })).unwrap();
    let step = recorder.events.iter().position(|event| matches!(event, TrainEvent::Step { .. })).unwrap();
    assert!(warning < step);
    assert!(recorder.warnings()[0].contains("the learning rate is 0 throughout, so nothing is learnt"));
}
