//! What a forward pass keeps for the backward pass, counted where it is allocated, against what is forecast. A process of its
//! own: other tests would be counted too.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use retune_roles::{Example, Sequence, Target, Task};
use retune_tensor::Device;
use retune_train::model::footprint::{Footprint, Learning, Load, Pass};
use retune_train::model::pattern::Patterns;
use retune_train::model::{Base, Model, Outline, task_of_checkpoint};

/// The system's allocator, with the bytes that are taken now.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// One test at a time is counted.
static TURN: Mutex<()> = Mutex::new(());

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(layout.size(), Relaxed);
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

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/families");
    let mut all: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// Rows of 8 to 13 tokens, enough that tensors outweigh the tape.
fn examples(task: &Task) -> Vec<Example> {
    let row = |row: usize| {
        let ids: Vec<u32> = (0..8 + row % 6).map(|token| 5 + ((7 * row + 3 * token) % 60) as u32).collect();
        let mut sequence = Sequence::of(ids);
        let target = match task {
            Task::CausalLm => {
                sequence.learnt = std::iter::once(1..sequence.len() as u32).collect();
                Target::None
            }
            _ => Target::Class((row % 3) as u32),
        };
        Example::new(format!("row {row}"), sequence, target)
    };
    (0..120).map(row).collect()
}

/// Bytes that a forward pass with a tape leaves, and the bytes that were forecast.
fn kept(model: &Model) -> (usize, u64) {
    let examples = examples(model.task());
    let input = model.input(&examples.iter().collect::<Vec<_>>()).unwrap();
    // The first pass makes threads and tables that stay.
    drop(model.forward(&model.weights(true), &input, None).unwrap());
    let before = TAKEN.load(Relaxed);
    let weights = model.weights(true);
    let forward = model.forward(&weights, &input, None).unwrap();
    let taken = TAKEN.load(Relaxed) - before;
    drop((forward, weights));
    let language = matches!(model.task(), Task::CausalLm);
    let load = Load { tokens: input.tokens(), targets: input.tokens(), documents: input.batch_size() as u64 };
    let shape = &model.config().shape;
    let learning = Learning::of(&model.layers(), shape);
    (taken, Footprint::of(shape, &learning, load, Pass { language, recomputing: false, host: true }).kept)
}

#[test]
fn what_is_kept_of_a_pass_is_what_is_forecast_in_every_family_and_variant() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    for directory in fixtures() {
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let task = task_of_checkpoint(&directory).unwrap();
        let (mut model, _) = Model::load(&Base::Directory(directory), &task, 1, &Device::flex()).unwrap();
        let mut check = |model: &Model, what: &str| {
            let (taken, forecast) = kept(model);
            let ratio = forecast as f64 / taken as f64;
            if !(0.88..1.12).contains(&ratio) {
                wrong.push(format!("{name}, {what}: {taken} bytes kept, {forecast} forecast, ratio {ratio:.3}"));
            }
        };
        check(&model, "all learns");
        let embeddings = Patterns::new(&[model.layers()[0].name.clone()]).unwrap();
        for index in model.select(&embeddings).unwrap() {
            model.parameters_mut().set_trainable(index, false);
        }
        check(&model, "embeddings are frozen");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_outline_has_the_names_shapes_and_layers_of_the_model() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for directory in fixtures() {
        let task = task_of_checkpoint(&directory).unwrap();
        let base = Base::Directory(directory.clone());
        let (model, report) = Model::load(&base, &task, 1, &Device::flex()).unwrap();
        let outline = Outline::read(&base, &task, None).unwrap();
        assert_eq!(outline.layers, model.layers(), "{}", directory.display());
        assert_eq!(outline.unused, report.unused);
        let ours = outline.parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.layer, p.stored));
        let loaded = model.parameters().iter().map(|p| (p.name.as_str(), p.shape(), p.layer, Some(p.stored_dtype())));
        assert_eq!(ours.collect::<Vec<_>>(), loaded.collect::<Vec<_>>(), "{}", directory.display());
        let glob = vec![format!("{}.0", model.config().shape.blocks)];
        assert_eq!(outline.select(&glob[0]).unwrap(), model.select(&Patterns::new(&glob).unwrap()).unwrap());
    }
}
