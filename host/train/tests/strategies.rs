//! Frozen means frozen, and policies steer what is.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use std::{cell::RefCell, collections::BTreeSet, fs, path::Path, rc::Rc, time::Duration};

use retune_roles::{
    Action, Change, Event, InitScheme, Layer, LayerStats, Policy, PolicyContract, Trigger,
    builtin::{CrossEntropy, Thaw, ThawConfig},
};
use retune_train::{Reinitialize, Roles, Scheme, Strategy, TrainError, TrainEvent, TrainSpec, Trainer};
use safetensors::SafeTensors;
use support::*;

fn changed(before: &[(String, [u8; 32])], after: &[(String, [u8; 32])]) -> BTreeSet<String> {
    before.iter().zip(after).filter(|(a, b)| a.1 != b.1).map(|(a, _)| a.0.clone()).collect()
}

/// Names in the optimiser file of the newest checkpoint, without the suffix of the moment.
fn optimiser_state(directory: &Path) -> BTreeSet<String> {
    let newest = fs::read_dir(directory.join("checkpoints")).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    let bytes = fs::read(newest.join("optimizer.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.names().iter().map(|name| name.trim_end_matches("_sq").trim_end_matches(".exp_avg").to_string()).collect()
}

#[test]
fn a_frozen_parameter_keeps_its_bytes_and_has_no_optimiser_state() {
    let directory = tempfile::tempdir().unwrap();
    let strategy =
        Strategy { freeze: vec!["embeddings.**".into(), "encoder.layer.0.**".into()], ..Strategy::default() };
    let before = bytes(&bert(0.1));
    let (outcome, recorder) =
        train(bert(0.1), TrainSpec { strategy, ..spec(directory.path()) }, roles(), &rows(20, 1), &[]);
    let outcome = outcome.unwrap();
    let moved = changed(&before, &bytes(&outcome.model));
    let frozen = |name: &str| name.contains("embeddings") || name.contains("encoder.layer.0.");
    let learning: BTreeSet<String> = before.iter().map(|(name, _)| name.clone()).filter(|name| !frozen(name)).collect();
    assert_eq!(moved, learning);
    assert_eq!(optimiser_state(directory.path()), learning);
    assert_eq!(outcome.frozen_unchanged, before.len() - learning.len());
    let Some(TrainEvent::RunEnd { frozen_unchanged, .. }) = recorder.events.last() else { panic!("no end") };
    assert_eq!(*frozen_unchanged, outcome.frozen_unchanged);
}

#[test]
fn only_the_top_blocks_learn_when_that_is_asked() {
    for (top, lowest) in [(0, "pooler"), (1, "encoder.layer.1")] {
        let directory = tempfile::tempdir().unwrap();
        let strategy = Strategy { train_top_layers: Some(top), ..Strategy::default() };
        let before = bytes(&bert(0.0));
        let (outcome, _) =
            train(bert(0.0), TrainSpec { strategy, ..spec(directory.path()) }, roles(), &rows(20, 1), &[]);
        let moved = changed(&before, &bytes(&outcome.unwrap().model));
        let first = before.iter().find(|(name, _)| moved.contains(name)).unwrap();
        assert!(first.0.contains(lowest), "{top}: {}", first.0);
        let from = before.iter().position(|(name, _)| *name == first.0).unwrap();
        assert_eq!(moved.len(), before.len() - from, "{top}: everything above learns");
    }
}

#[test]
fn the_top_blocks_of_a_model_with_tied_embeddings_are_trained_with_a_warning_and_its_head_alone_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = token_rows(12, 1);
    let top = |model, top| {
        let strategy = Strategy { train_top_layers: Some(top), ..Strategy::default() };
        let spec = TrainSpec { strategy, epochs: 1, ..spec(directory.path()) };
        train(model, spec, Roles::new(Box::new(CrossEntropy::for_tokens())), &data, &[])
    };
    let error = top(tied_llama(), 0).0.unwrap_err().to_string();
    assert_eq!(
        error,
        "strategy.train_top_layers: 0 trains the head alone, and this model has none: its output projection is the \
         token table (tie_word_embeddings); give a number from 1 to 2"
    );
    let (outcome, recorder) = top(tied_llama(), 1);
    let moved = changed(&bytes(&tied_llama()), &bytes(&outcome.unwrap().model));
    assert!(moved.contains("model.norm.weight") && !moved.contains("model.embed_tokens.weight"), "{moved:?}");
    let told =
        |recorder: &Recorder| recorder.warnings().iter().any(|w| w.contains("leaves the output projection frozen"));
    assert!(told(&recorder), "{:?}", recorder.warnings());

    fs::remove_dir_all(directory.path().join("checkpoints")).unwrap();
    let (outcome, recorder) = top(llama(), 0);
    assert!(!told(&recorder), "a head of its own learns");
    let moved = changed(&bytes(&llama()), &bytes(&outcome.unwrap().model));
    assert_eq!(moved, BTreeSet::from(["model.norm.weight".to_string(), "lm_head.weight".to_string()]));
}

#[test]
fn a_new_start_is_drawn_from_the_seed_before_training() {
    let directory = tempfile::tempdir().unwrap();
    let strategy = Strategy {
        reinitialize: vec![Reinitialize { layers: "classifier".into(), scheme: Scheme::Normal, std: Some(0.5) }],
        ..Strategy::default()
    };
    let new = |seed| {
        let spec = TrainSpec { strategy: strategy.clone(), seed, ..spec(directory.path()) };
        let data = rows(8, 1);
        bytes(Trainer::new(bert(0.0), spec, roles(), &data, &[]).unwrap().model())
    };
    let moved = changed(&bytes(&bert(0.0)), &new(1));
    assert_eq!(moved, BTreeSet::from(["classifier.weight".to_string()]));
    assert_eq!(new(1), new(1));
    assert_ne!(new(1), new(2));
}

#[test]
fn a_thawed_layer_learns_from_its_step_on_and_not_before() {
    let thaw = |step| {
        let thaw = Thaw::new(ThawConfig { layers: "encoder.layer.1.*".into(), step }).unwrap();
        Roles { policies: vec![Box::new(thaw) as Box<dyn Policy>], ..roles() }
    };
    let directory = tempfile::tempdir().unwrap();
    let before = bytes(&bert(0.0));
    let (outcome, recorder) = train(bert(0.0), spec(directory.path()), thaw(6), &rows(20, 1), &[]);
    assert_eq!(changed(&before, &bytes(&outcome.unwrap().model)).len(), before.len());
    let steps: Vec<(u64, String)> = recorder
        .events
        .iter()
        .filter_map(|e| {
            if let TrainEvent::PolicyChange { step, action, .. } = e { Some((*step, action.clone())) } else { None }
        })
        .collect();
    assert_eq!(steps, [(0, "freeze".into()), (6, "unfreeze".into())]);

    let directory = tempfile::tempdir().unwrap();
    let (outcome, _) = train(bert(0.0), spec(directory.path()), thaw(100), &rows(20, 1), &[]);
    let moved = changed(&before, &bytes(&outcome.unwrap().model));
    assert!(!moved.iter().any(|name| name.contains("encoder.layer.1.")));
}

/// Runs with a policy that makes `change` once, after step 2; gives what moved after that step.
fn after_one_change(action: Action) -> (BTreeSet<String>, BTreeSet<String>) {
    let script = move |event: &Event, _| match (&event.trigger, event.at.step) {
        (Trigger::Steps, 2) => vec![Change { layers: "classifier".into(), action, reason: "test".into() }],
        _ => Vec::new(),
    };
    let run = |steps: u64| {
        let directory = tempfile::tempdir().unwrap();
        let contract = PolicyContract { every_steps: Some(2), ..PolicyContract::default() };
        let policy: Box<dyn Policy> = Box::new(Scripted { contract, asked: 0, script });
        let mut spec = TrainSpec { epochs: 1, ..spec(directory.path()) };
        spec.lr_scheduler.name = retune_train::SchedulerName::Constant;
        spec.max_steps = Some(steps);
        let roles = Roles { policies: vec![policy], ..roles() };
        let model = train(bert(0.0), spec, roles, &rows(20, 1), &[]).0.unwrap().model;
        (bytes(&model), optimiser_state(directory.path()))
    };
    let ((two, _), (three, state)) = (run(2), run(3));
    (changed(&two, &three), state)
}

#[test]
fn a_layer_that_is_frozen_midway_stops_there_and_loses_its_optimiser_state() {
    let (moved, state) = after_one_change(Action::Freeze);
    assert!(!moved.iter().any(|name| name.starts_with("classifier")) && !moved.is_empty());
    assert!(!state.iter().any(|name| name.starts_with("classifier")) && !state.is_empty());
}

#[test]
fn a_scale_of_zero_stops_a_layer_and_keeps_its_optimiser_state() {
    let (moved, state) = after_one_change(Action::LrScale(0.0));
    assert!(!moved.iter().any(|name| name.starts_with("classifier")));
    assert!(state.contains("classifier.weight"));
}

#[test]
fn a_layer_that_begins_anew_and_is_frozen_is_not_taken_for_changed() {
    let contract = PolicyContract { every_steps: Some(2), ..PolicyContract::default() };
    let script = |event: &Event, _| {
        let change = |action| Change { layers: "encoder.layer.0.*".into(), action, reason: String::new() };
        if event.at.step == 4 {
            vec![change(Action::Freeze), change(Action::Reinit(InitScheme::Pretrained))]
        } else {
            Vec::new()
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let roles =
        Roles { policies: vec![Box::new(Scripted { contract, asked: 0, script }) as Box<dyn Policy>], ..roles() };
    let before = bytes(&bert(0.0));
    let outcome = train(bert(0.0), spec(directory.path()), roles, &rows(20, 1), &[]).0.unwrap();
    let moved = changed(&before, &bytes(&outcome.model));
    assert!(
        !moved.iter().any(|name| name.contains("encoder.layer.0.")),
        "pretrained weights are those the run began with"
    );
}

#[test]
fn weight_decay_of_a_layer_is_the_policys_and_spares_biases() {
    // With a learning rate scale of 1 and a huge decay, a step shrinks the weights and not the bias.
    let norm = |decay: f64, name: &str| {
        let script = move |event: &Event, _| match event.trigger {
            Trigger::Start => {
                vec![Change { layers: "classifier".into(), action: Action::WeightDecay(decay), reason: String::new() }]
            }
            _ => Vec::new(),
        };
        let directory = tempfile::tempdir().unwrap();
        let contract = PolicyContract::default();
        let policy: Box<dyn Policy> = Box::new(Scripted { contract, asked: 0, script });
        let spec = TrainSpec { max_steps: Some(1), ..spec(directory.path()) };
        let model =
            train(bert(0.0), spec, Roles { policies: vec![policy], ..roles() }, &rows(8, 1), &[]).0.unwrap().model;
        let values = model.parameters().get(name).unwrap().value.to_float32().unwrap();
        values.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt()
    };
    assert!(norm(100.0, "classifier.weight") < 0.6 * norm(0.0, "classifier.weight"));
    assert_eq!(norm(100.0, "classifier.bias"), norm(0.0, "classifier.bias"));
}

#[test]
fn statistics_are_those_of_the_layers() {
    type Told = Vec<(u64, Vec<LayerStats>)>;
    let seen: Rc<RefCell<Told>> = Rc::default();
    let kept = seen.clone();
    let script = move |event: &Event, _| {
        kept.borrow_mut().push((event.at.step, event.layers.clone()));
        Vec::new()
    };
    let contract = PolicyContract { every_steps: Some(2), stats: true, ..PolicyContract::default() };
    let strategy = Strategy { freeze: vec!["embeddings".into()], ..Strategy::default() };
    let directory = tempfile::tempdir().unwrap();
    let mut spec = TrainSpec { strategy, epochs: 1, ..spec(directory.path()) };
    // Only the schedule and clipping stand between gradient and update: both are told in events.
    spec.max_grad_norm = None;
    let policy: Box<dyn Policy> = Box::new(Scripted { contract, asked: 0, script });
    let (outcome, recorder) = train(bert(0.0), spec, Roles { policies: vec![policy], ..roles() }, &rows(20, 1), &[]);
    outcome.unwrap();
    let norms: Vec<f64> = recorder
        .events
        .iter()
        .filter_map(|e| if let TrainEvent::Step { grad_norm, .. } = e { Some(*grad_norm) } else { None })
        .collect();
    let seen = seen.borrow();
    let steps: Vec<u64> = seen.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [0, 2, 4]);
    let (_, start) = &seen[0];
    assert!(start.iter().all(|l| l.grad_norm.is_none() && l.update_ratio.is_none() && l.weight_norm > 0.0));
    for (step, layers) in &seen[1..] {
        for layer in layers {
            assert_eq!(layer.trainable, !layer.name.contains("embeddings"));
            assert_eq!(layer.grad_norm.is_some(), layer.trainable, "{}", layer.name);
            assert_eq!(layer.update_ratio.is_some(), layer.trainable, "{}", layer.name);
        }
        // The mean over two steps of each layer's norm, put together, lies between those of the steps.
        let together: f64 = layers.iter().filter_map(|l| l.grad_norm).map(|n| n * n).sum::<f64>().sqrt();
        let pair = &norms[*step as usize - 2..*step as usize];
        let (low, high) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
        assert!(together <= high * 1.001 && together >= 0.5 * low, "{together} is not between {low} and {high}");
        assert!(layers.iter().filter_map(|l| l.update_ratio).all(|ratio| ratio > 1e-6 && ratio < 0.5));
    }
}

#[test]
fn a_policy_that_leaves_nothing_to_learn_or_matches_nothing_ends_the_run_by_name() {
    let end = |layers: &'static str, action| {
        let script = move |_: &Event, _| vec![Change { layers: layers.into(), action, reason: String::new() }];
        let directory = tempfile::tempdir().unwrap();
        let policy: Box<dyn Policy> = Box::new(Scripted { contract: PolicyContract::default(), asked: 0, script });
        train(bert(0.0), spec(directory.path()), Roles { policies: vec![policy], ..roles() }, &rows(8, 1), &[])
            .0
            .unwrap_err()
    };
    assert_eq!(end("**", Action::Freeze).to_string(), "policy scripted at step 0: no parameter is left that learns");
    let error = end("encoder.layer.7.*", Action::Freeze);
    assert_eq!(error.to_string(), "policy scripted at step 0: the pattern `encoder.layer.7.*` matches no layer");
    assert!(error.help().unwrap().contains("encoder.layer."), "{:?}", error.help());
    let said = end("classifier", Action::LrScale(f64::NAN)).to_string();
    assert_eq!(
        said,
        "policy scripted failed in `decide` at step 0: it gave `classifier` a learning-rate scale of NaN, expected a number of at least 0"
    );
}

/// A policy that gives the same answer after every step; what it came to.
fn every_step(answer: Vec<Change>, deadline: Option<Duration>) -> (Result<(), TrainError>, Recorder) {
    struct Bounded<F>(Scripted<F>, Option<Duration>);
    impl<F: FnMut(&Event, u64) -> Vec<Change>> Policy for Bounded<F> {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn describe(&self) -> PolicyContract {
            self.0.describe()
        }
        fn attach(&mut self, layers: &[Layer]) -> retune_roles::Result<()> {
            self.0.attach(layers)
        }
        fn decide(&mut self, event: &Event) -> retune_roles::Result<Vec<Change>> {
            self.0.decide(event)
        }
        fn deadline(&self) -> Option<Duration> {
            self.1
        }
    }
    let contract = PolicyContract { every_steps: Some(1), ..PolicyContract::default() };
    let scripted = Scripted { contract, asked: 0, script: move |_: &Event, _| answer.clone() };
    let policy: Box<dyn Policy> = Box::new(Bounded(scripted, deadline));
    let directory = tempfile::tempdir().unwrap();
    let spec = TrainSpec { epochs: 1, ..spec(directory.path()) };
    let (outcome, recorder) = train(bert(0.0), spec, Roles { policies: vec![policy], ..roles() }, &rows(20, 1), &[]);
    (outcome.map(|_| ()), recorder)
}

fn changes_of(recorder: &Recorder) -> Vec<(u64, String)> {
    let change = |event: &TrainEvent| match event {
        TrainEvent::PolicyChange { step, layers, action, .. } => Some((*step, format!("{layers} {action}"))),
        _ => None,
    };
    recorder.events.iter().filter_map(change).collect()
}

#[test]
fn what_is_said_again_and_changes_nothing_is_written_once() {
    let change = |layers: &str, action| Change { layers: layers.into(), action, reason: "r".repeat(4_000) };
    let mut answer = vec![change("classifier", Action::LrScale(0.5)); 3_000];
    answer.push(change("encoder.layer.0.*", Action::Freeze));
    let (outcome, recorder) = every_step(answer, None);
    outcome.unwrap();
    let (half, freeze) = ("classifier lr_scale 0.5".to_owned(), "encoder.layer.0.* freeze".to_owned());
    assert_eq!(changes_of(&recorder), [(0, half), (0, freeze)]);
    assert_eq!(recorder.events.iter().filter(|event| matches!(event, TrainEvent::Layers { .. })).count(), 2);
}

#[test]
fn however_much_a_policy_says_what_is_written_is_bounded_and_all_of_it_is_done() {
    // Patterns that differ, back and forth at every step.
    let change = |n: u32| {
        let scale = Action::LrScale(f64::from(n % 2) + 0.5);
        Change { layers: format!("{{classifier,{n}}}"), action: scale, reason: "r".repeat(1_000) }
    };
    let (outcome, recorder) = every_step((0..5_000).map(change).collect(), None);
    outcome.unwrap();
    let at_start = changes_of(&recorder).iter().filter(|(step, _)| *step == 0).count();
    assert_eq!(at_start, 1_000);
    let said = "4000 more changes of policies at this step are carried out and not written";
    assert!(recorder.warnings().contains(&said.to_owned()), "{:?}", recorder.warnings());
    let scale = recorder.events.iter().rev().find_map(|event| match event {
        TrainEvent::Layers { layers, .. } => layers.iter().find(|layer| layer.name == "classifier").map(|l| l.lr_scale),
        _ => None,
    });
    assert_eq!(scale, Some(1.5), "the last of five thousand wins");
}

#[test]
fn an_answer_whose_layers_take_longer_to_find_than_the_policy_may_take_is_its_failure() {
    let change = |n: u32| Change { layers: format!("{{**,{n}}}"), action: Action::Freeze, reason: String::new() };
    let (outcome, _) = every_step((0..10_000).map(change).collect(), Some(Duration::from_millis(1)));
    let error = outcome.unwrap_err();
    insta::assert_snapshot!(error, @"policy scripted failed in `decide` at step 0: finding the layers of its 10000 changes took longer than 1 ms");
    insta::assert_snapshot!(error.help().unwrap(), @"raise `limits.deadline_ms`, or let the plugin answer with fewer patterns");
}

#[test]
fn a_pattern_without_end_is_the_fault_of_who_wrote_it() {
    let change = Change { layers: "{".repeat(250), action: Action::Freeze, reason: String::new() };
    insta::assert_snapshot!(every_step(vec![change], None).0.unwrap_err(), @"policy scripted at step 0: pattern `{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{…` is not a valid glob: its alternatives `{` stand more than 8 deep in each other");
    let directory = tempfile::tempdir().unwrap();
    let strategy = Strategy { freeze: vec!["{".repeat(250)], ..Strategy::default() };
    let (outcome, _) = train(bert(0.0), TrainSpec { strategy, ..spec(directory.path()) }, roles(), &rows(8, 1), &[]);
    let said = outcome.unwrap_err().to_string();
    assert!(said.starts_with("strategy.freeze: pattern `{{{"), "{said}");
}

/// A policy that says one thing at the start and nothing after it.
fn at_the_start(layers: &'static str, action: Action) -> Roles {
    let script = move |event: &Event, _| match event.trigger {
        Trigger::Start => vec![Change { layers: layers.into(), action, reason: "test".into() }],
        _ => Vec::new(),
    };
    let policy: Box<dyn Policy> = Box::new(Scripted { contract: PolicyContract::default(), asked: 0, script });
    Roles { policies: vec![policy], ..roles() }
}

#[test]
fn a_policy_cannot_unfreeze_what_the_recipe_freezes_and_that_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let strategy = Strategy { freeze: vec!["encoder.layer.0.**.weight".into()], ..Strategy::default() };
    let spec = TrainSpec { strategy, ..spec(directory.path()) };
    let before = bytes(&bert(0.0));
    let (outcome, recorder) =
        train(bert(0.0), spec, at_the_start("encoder.layer.*", Action::Unfreeze), &rows(20, 1), &[]);
    let moved = changed(&before, &bytes(&outcome.unwrap().model));
    let frozen = |name: &str| name.contains("encoder.layer.0.") && name.ends_with(".weight");
    let learning: BTreeSet<String> = before.iter().map(|(name, _)| name.clone()).filter(|name| !frozen(name)).collect();
    assert_eq!(moved, learning);
    let told = recorder.warnings().into_iter().find(|warning| warning.starts_with("policy scripted")).unwrap();
    assert_eq!(
        told,
        "policy scripted unfreezes `bert.encoder.layer.0.attention` and `bert.encoder.layer.0.mlp`; what the recipe \
         freezes of it (strategy.freeze, strategy.train_top_layers) stays frozen"
    );
}

#[test]
fn a_policy_that_waits_to_unfreeze_what_lies_below_the_top_blocks_is_warned_of_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let strategy = Strategy { train_top_layers: Some(1), ..Strategy::default() };
    let told = |layers| {
        let spec = TrainSpec { strategy: strategy.clone(), ..spec(directory.path()) };
        let data = rows(20, 1);
        let mut trainer = Trainer::new(bert(0.0), spec, at_the_start(layers, Action::Freeze), &data, &[]).unwrap();
        trainer.start().unwrap();
        let mut recorder = Recorder { stop_after: Some(5), ..Recorder::default() };
        trainer.run(&mut recorder).unwrap_err();
        recorder.warnings().into_iter().find(|warning| warning.starts_with("policy scripted"))
    };
    assert_eq!(
        told("encoder.layer.0.*").unwrap(),
        "policy scripted freezes `bert.encoder.layer.0.attention` and `bert.encoder.layer.0.mlp`, which the recipe keeps \
         frozen to the end (strategy.freeze, strategy.train_top_layers); to have them unfrozen later, leave them to the \
         policy alone"
    );
    assert_eq!(told("encoder.layer.*"), None, "the upper block is the policy's to freeze");
}

#[test]
fn trainable_parameters_are_counted_after_the_policies_have_spoken_at_the_start() {
    let (directory, data) = (tempfile::tempdir().unwrap(), rows(20, 1));
    let roles = at_the_start("encoder.layer.*", Action::Freeze);
    let mut trainer = Trainer::new(bert(0.0), spec(directory.path()), roles, &data, &[]).unwrap();
    trainer.start().unwrap();
    let trainable = |trainer: &Trainer<'_>| -> u64 {
        let learn = trainer.model().parameters().iter().filter(|parameter| parameter.trainable);
        learn.map(|parameter| parameter.numel()).sum()
    };
    let encoder = |name: &str| name.contains("encoder.layer.");
    let outside = trainer.model().parameters().iter().filter(|p| !encoder(&p.name)).map(|p| p.numel()).sum::<u64>();
    assert_eq!(trainable(&trainer), outside);

    let mut recorder = Recorder::default();
    trainer.run(&mut recorder).unwrap();
    let Some(TrainEvent::RunStart { trainable_parameters, .. }) = recorder.events.first() else { panic!("no start") };
    assert_eq!(*trainable_parameters, outside);
    let changes = recorder.events.iter().filter(|event| matches!(event, TrainEvent::PolicyChange { .. }));
    assert_eq!(changes.count(), 1, "the policy is asked once");
}
