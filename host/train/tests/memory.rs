//! Memory of a run, counted where it is allocated. A process of its own: other tests would be counted too.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    borrow::Cow,
    ops::ControlFlow,
    path::Path,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use retune_roles::{
    Batch, Example, InputSpec, Loss, LossOutput, Progress, Rows, Sequence, Target, builtin::CrossEntropy,
};
use retune_tensor::Device;
use retune_train::{
    Best, EvaluationSpec, Roles, Strategy, TrainEvent, TrainSpec, Trainer,
    model::{Base, Model, Task},
};
use support::*;

/// The system's allocator, with the bytes that are taken now, the most there ever were, and all that were asked for.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static ALL: AtomicUsize = AtomicUsize::new(0);

/// Allocations of exactly [`WATCHED`] bytes.
static SEEN: AtomicUsize = AtomicUsize::new(0);
static WATCHED: AtomicUsize = AtomicUsize::new(usize::MAX);

/// One test at a time is counted.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|broken| broken.into_inner())
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(taken, Relaxed);
        ALL.fetch_add(layout.size(), Relaxed);
        SEEN.fetch_add(usize::from(layout.size() == WATCHED.load(Relaxed)), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that `work` takes beyond those that are taken when it begins.
fn most<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = TAKEN.load(Relaxed);
    MOST.store(before, Relaxed);
    let result = work();
    (result, MOST.load(Relaxed) - before)
}

/// A BERT of many blocks, none of whose tensors is large beside the whole.
fn deep_bert() -> Model {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    let config = bert_config(0.0)
        .replace(r#""hidden_size": 16"#, r#""hidden_size": 64"#)
        .replace(r#""intermediate_size": 32"#, r#""intermediate_size": 128"#)
        .replace(r#""num_hidden_layers": 2"#, r#""num_hidden_layers": 40"#);
    std::fs::write(&path, config).unwrap();
    let task = Task::SequenceClassification { labels: LABELS.map(String::from).to_vec() };
    Model::load(&Base::Config(path), &task, 7, &Device::flex()).unwrap().0
}

fn bytes_of(model: &Model) -> usize {
    4 * model.parameters().iter().map(|parameter| parameter.numel() as usize).sum::<usize>()
}

#[test]
fn going_on_from_a_checkpoint_takes_no_more_memory_than_the_optimisers_moments() {
    let _turn = turn();
    let (data, validation) = (rows(8, 1), rows(4, 2));
    let directory = tempfile::tempdir().unwrap();
    let trainer = |directory: &Path| {
        let best = Some(Best { metric: "loss".into(), mode: None });
        let evaluation = EvaluationSpec { best, ..EvaluationSpec::default() };
        let spec = TrainSpec { epochs: 1, evaluation, ..spec(directory) };
        Trainer::new(deep_bert(), spec, roles(), &data, &validation).unwrap()
    };
    trainer(directory.path()).run(&mut Recorder::default()).unwrap();

    let mut trainer = trainer(directory.path());
    let weights = bytes_of(trainer.model());
    let (resumed, most) = most(|| trainer.resume().unwrap());
    assert_eq!(resumed, Some(2));
    assert!(most > 2 * weights, "{most} bytes cannot hold the moments of {weights} bytes of weights");
    assert!(most < 2 * weights + weights / 2, "{most} bytes at once, for {weights} bytes of weights");
}

#[test]
fn frozen_weights_are_not_read_again_after_the_last_checkpoint() {
    let _turn = turn();
    let data = rows(8, 1);
    let directory = tempfile::tempdir().unwrap();
    let strategy = Strategy { freeze: vec!["encoder.**".into()], ..Strategy::default() };
    let spec = TrainSpec { epochs: 1, strategy, ..spec(directory.path()) };
    let trainer = Trainer::new(deep_bert(), spec, roles(), &data, &[]).unwrap();
    let weights = bytes_of(trainer.model());
    let (mut written, mut ended) = (0, 0);
    let mut observer = |event: &TrainEvent| {
        match event {
            TrainEvent::Checkpoint { .. } => written = ALL.load(Relaxed),
            TrainEvent::RunEnd { .. } => ended = ALL.load(Relaxed),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    // To take a digest is to copy the weights out of their tensors.
    assert_eq!(trainer.run(&mut observer).unwrap().frozen_unchanged, 40 * 16);
    assert!(0 < written && ended - written < weights / 10, "{} of {weights} bytes", ended - written);
}

#[test]
fn digests_are_taken_of_the_weights_where_they_lie() {
    let _turn = turn();
    let mut model = deep_bert();
    let expected = bytes(&model);
    let weights = bytes_of(&model);
    let before = ALL.load(Relaxed);
    let digests: Vec<[u8; 32]> =
        (0..expected.len()).map(|index| model.parameters_mut().fingerprint_in_place(index).unwrap()).collect();
    let asked = ALL.load(Relaxed) - before;
    assert!(asked < weights / 5, "{asked} bytes were asked for, for {weights} bytes of weights");
    assert_eq!(digests, expected.into_iter().map(|(_, digest)| digest).collect::<Vec<_>>());
    assert_eq!(bytes(&model).into_iter().map(|(_, digest)| digest).collect::<Vec<_>>(), digests);
}

/// Rows that are made when they are read, as those of a file are.
struct Made(usize);

impl Rows for Made {
    fn len(&self) -> usize {
        self.0
    }

    fn length(&self, row: usize) -> usize {
        3 + row % 18
    }

    fn get(&self, row: usize) -> Cow<'_, Example> {
        let ids = (0..self.length(row)).map(|token| (3 + (row + token) % 57) as u32).collect();
        Cow::Owned(Example::new(format!("train.csv:{row}"), Sequence::of(ids), Target::Class((row % 3) as u32)))
    }
}

#[test]
fn training_and_evaluation_hold_the_rows_of_a_batch_and_no_others() {
    let _turn = turn();
    let (data, validation) = (Made(80_000), Made(4_000));
    let (held, all) = most(|| (0..data.len()).map(|row| data.get(row).into_owned()).collect::<Vec<_>>());
    drop(held);
    let directory = tempfile::tempdir().unwrap();
    let evaluation = EvaluationSpec { batch_size: Some(100), ..EvaluationSpec::default() };
    let spec = TrainSpec { max_steps: Some(2), group_by_length: true, evaluation, ..spec(directory.path()) };
    let model = bert(0.0);
    let (outcome, most) = most(|| {
        let trainer = Trainer::new(model, spec, roles(), &data, &validation).unwrap();
        trainer.run(&mut |_: &TrainEvent| ControlFlow::Continue(())).unwrap()
    });
    assert_eq!(outcome.steps, 2);
    assert!(most < all / 4, "{most} bytes at once; the rows take {all}");
}

/// Bytes that the activations of one step of `model` take, and the gradients it gives.
fn step_of(model: &Model, rows: &[Example]) -> (usize, Vec<Option<Vec<f32>>>) {
    let input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
    let (gradients, most) = most(|| {
        let weights = model.weights(true);
        let forward = model.forward(&weights, &input, None).unwrap();
        let loss = forward.logits.mul(&forward.logits).unwrap().sum(&[], false).unwrap();
        drop(forward);
        weights.backward(&loss).unwrap()
    });
    let gradients: Vec<_> = gradients.into_iter().map(|part| part.map(|part| part.to_float32().unwrap())).collect();
    (most - 4 * gradients.iter().flatten().map(Vec::len).sum::<usize>(), gradients)
}

/// Rows with so many tokens that activations are large beside weights.
fn long_rows() -> Vec<Example> {
    let ids = |row: u32| (0..24).map(|token| 3 + (row + 5 * token) % 57).collect();
    (0..64).map(|row| Example::new(format!("row {row}"), Sequence::of(ids(row)), Target::Class(0))).collect()
}

#[test]
fn recomputed_blocks_keep_the_states_between_them_and_the_inside_of_one() {
    let _turn = turn();
    let (mut model, rows) = (deep_bert(), long_rows());
    step_of(&model, &rows);
    let (kept, expected) = step_of(&model, &rows);
    model.set_gradient_checkpointing(true);
    let (recomputed, found) = step_of(&model, &rows);
    assert!(expected == found, "gradients are the same to the bit");
    // `[tokens, hidden]`; a block of BERT keeps about 17 of these with an inner width of twice the hidden one.
    let states = 64 * 24 * 64 * 4;
    assert!(kept > 40 * 8 * states, "{} states in each of 40 blocks", kept / 40 / states);
    assert!(recomputed < (40 + 40) * states, "{} states over all, for 40 blocks", recomputed / states);
}

#[test]
fn what_is_frozen_keeps_no_activations_for_anybody() {
    let _turn = turn();
    let (mut model, rows) = (deep_bert(), long_rows());
    let (all, _) = step_of(&model, &rows);
    // Below the lowest layer that learns nothing is kept.
    let blocks: Vec<u32> = model.parameters().iter().map(|p| model.layers()[p.layer].depth).collect();
    let learn = |model: &mut Model, which: &dyn Fn(usize, &str) -> bool| {
        let names: Vec<String> = model.parameters().iter().map(|p| p.name.clone()).collect();
        for (index, name) in names.iter().enumerate() {
            model.parameters_mut().set_trainable(index, which(index, name));
        }
    };
    learn(&mut model, &|index, _| blocks[index] > 38);
    let (top, gradients) = step_of(&model, &rows);
    assert!(gradients.iter().any(Option::is_some));
    assert!(top < all / 10, "two of 40 blocks learn: {top} bytes of {all}");
    // A frozen projection does not keep what it read: of all blocks, only the shifts of their norms learn.
    learn(&mut model, &|_, name| name.ends_with("LayerNorm.bias"));
    let (shifts, _) = step_of(&model, &rows);
    assert!(shifts < all * 3 / 4, "{shifts} bytes of {all}");
}

/// Cross-entropy that asks for hidden states as well.
struct Reading(CrossEntropy, [InputSpec; 3]);

impl Loss for Reading {
    fn name(&self) -> &str {
        "reading"
    }
    fn wants(&self) -> &[InputSpec] {
        &self.1
    }
    fn compute(&mut self, batch: &Batch, at: &Progress) -> retune_roles::Result<LossOutput> {
        assert_eq!(batch.get("hidden").unwrap().shape(), [3, 13, 16]);
        self.0.compute(batch, at)
    }
}

#[test]
fn a_run_pads_hidden_states_for_a_role_that_wants_them_and_for_no_other() {
    let _turn = turn();
    let ids = |length: u32| (0..length).map(|token| 3 + token % 57).collect();
    let row = |length| Example::new(format!("row of {length}"), Sequence::of(ids(length)), Target::Class(length % 3));
    let data: Vec<Example> = [13, 4, 7].map(row).into();
    // As many bytes as no other tensor of this model and these rows has.
    let padded = 3 * 13 * 16 * 4;
    let run = |loss: Box<dyn Loss>| {
        let directory = tempfile::tempdir().unwrap();
        let spec = TrainSpec { max_steps: Some(1), ..spec(directory.path()) };
        let trainer = Trainer::new(bert(0.0), spec, Roles { loss, ..roles() }, &data, &data).unwrap();
        WATCHED.store(padded, Relaxed);
        let before = SEEN.load(Relaxed);
        let outcome = trainer.run(&mut |_: &TrainEvent| ControlFlow::Continue(())).unwrap();
        WATCHED.store(usize::MAX, Relaxed);
        (SEEN.load(Relaxed) - before, bytes(&outcome.model))
    };
    let (none, plain) = run(Box::new(CrossEntropy::for_sequences()));
    let wants = ["logits", "labels", "hidden"].map(InputSpec::required);
    let (some, reading) = run(Box::new(Reading(CrossEntropy::for_sequences(), wants)));
    assert!(some > 0, "the size is not that of the padded tensor any more");
    assert_eq!(none, 0, "padded for nobody");
    assert!(plain == reading, "what is asked for and not used changes no weight");
}
