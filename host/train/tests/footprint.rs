//! What a forward pass keeps for the backward pass, counted where it is allocated, against what is forecast. A process of its
//! own: other tests would be counted too.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use retune_roles::{Example, Sequence, Target, Task};
use retune_tensor::{Device, fused};
use retune_train::model::adapter::{AdapterMethod, AdapterSpec};
use retune_train::model::footprint::{Footprint, HeadKind, Learning, Load, Pass};
use retune_train::model::pattern::Patterns;
use retune_train::model::{Base, DropoutSeeds, Model, Outline, task_of_checkpoint};

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

/// The checkpoints of `tests/fixtures/KIND`, and names of what is there.
fn fixtures(kind: &str) -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(kind);
    let mut all: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    let name = |path: &Path| format!("{kind}/{}", path.file_name().unwrap().to_string_lossy());
    all.into_iter().filter(|path| path.is_dir()).map(|path| (name(&path), path)).collect()
}

fn load(directory: &Path, adapter: Option<&AdapterSpec>) -> Model {
    let (base, task) = (Base::Directory(directory.to_owned()), task_of_checkpoint(directory).unwrap());
    let device = Device::flex();
    match adapter {
        Some(spec) => Model::load_with_adapter(&base, &task, spec, 1, &device).unwrap().0,
        None => Model::load(&base, &task, 1, &device).unwrap().0,
    }
}

/// Rows of 8 to 13 tokens, enough that tensors outweigh the tape.
fn examples(task: &Task) -> Vec<Example> {
    let row = |row: usize| {
        let ids: Vec<u32> = (0..8 + row % 6).map(|token| 5 + ((7 * row + 3 * token) % 60) as u32).collect();
        let labels = || ids.iter().enumerate().map(|(place, id)| if place % 5 == 2 { *id as i32 } else { -100 });
        let target = match task {
            Task::CausalLm => Target::None,
            Task::MaskedLm => Target::Labels(labels().collect()),
            Task::TokenClassification { .. } => Target::Labels(vec![1; ids.len()]),
            Task::MultiLabelClassification { .. } => Target::Classes(vec![0]),
            Task::Regression { outputs } => Target::Values(vec![0.5; outputs.len()]),
            Task::SequenceClassification { labels } => Target::Class((row % labels.len()) as u32),
        };
        let mut sequence = Sequence::of(ids);
        if matches!(task, Task::CausalLm) {
            // As of an answer: the second half is learnt.
            sequence.learnt = std::iter::once(sequence.len() as u32 / 2..sequence.len() as u32).collect();
        }
        Example::new(format!("row {row}"), sequence, target)
    };
    (0..120).map(row).collect()
}

/// Bytes that a forward pass with a tape leaves, its loss over a vocabulary included, and the bytes that were forecast.
fn kept(model: &Model, recomputing: bool, dropout: bool) -> (usize, u64) {
    let examples = examples(model.task());
    let rows: Vec<&Example> = examples.iter().collect();
    let input = model.input(&rows).unwrap();
    let seeds = dropout.then(|| DropoutSeeds::new((0..rows.len() as u64).collect()));
    let over_vocabulary = matches!(model.task(), Task::CausalLm | Task::MaskedLm);
    // What a step keeps: the loss, or what it is made of.
    let pass = || {
        let weights = model.weights(true);
        let forward = model.forward(&weights, &input, seeds.as_ref()).unwrap();
        let kept = match over_vocabulary {
            true => fused::token_log_probs(&forward.logits, &input.labels().unwrap().unwrap().clone(), -100).unwrap(),
            false => forward.logits.clone(),
        };
        (weights, kept)
    };
    // The first passes make threads and tables that stay; so may a later one, on a thread that had nothing to do before.
    let taken = (0..4).map(|_| {
        let before = TAKEN.load(Relaxed);
        let made = pass();
        let taken = TAKEN.load(Relaxed) - before;
        drop(made);
        taken
    });
    let taken = taken.min().unwrap();
    let head = match model.task() {
        Task::CausalLm => HeadKind::Language,
        Task::MaskedLm => HeadKind::Masked,
        Task::TokenClassification { labels } => HeadKind::Tokens(labels.len()),
        task => HeadKind::Rows(task.labels().len()),
    };
    let targets = |row: &Example| match &row.target {
        Target::Labels(labels) => labels.iter().filter(|label| **label >= 0).count() as u64,
        _ => row.sequences[0].learnt_tokens() as u64,
    };
    let load = Load {
        tokens: input.tokens(),
        targets: examples.iter().map(targets).sum(),
        documents: input.batch_size() as u64,
    };
    let shape = &model.config().shape;
    let mut learning = Learning::of(&model.layers(), shape);
    if let Some(adapter) = model.adapter() {
        learning = learning.with_adapters(model.modules(), &adapter.placed, shape);
    }
    let pass = Pass { head, recomputing, dropout, host: true, widened: 0 };
    (taken, Footprint::of(shape, &learning, load, pass).kept())
}

/// Cases whose forecast is more than an eighth off.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn check(&mut self, name: &str, model: &Model, [recomputing, dropout]: [bool; 2]) {
        let (taken, forecast) = kept(model, recomputing, dropout);
        let ratio = forecast as f64 / taken as f64;
        if !(0.88..1.12).contains(&ratio) {
            self.0.push(format!("{name}: {taken} bytes kept, {forecast} forecast, ratio {ratio:.3}"));
        }
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{}", self.0.join("\n"));
        }
    }
}

#[test]
fn what_is_kept_of_a_pass_is_what_is_forecast_in_every_family_and_task() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Wrong::default();
    for (name, directory) in ["families", "token-tasks", "row-tasks"].into_iter().flat_map(fixtures) {
        let mut model = load(&directory, None);
        wrong.check(&format!("{name}, all learns"), &model, [false, false]);
        wrong.check(&format!("{name}, units drop out"), &model, [false, true]);
        let embeddings = Patterns::new(&[model.layers()[0].name.clone()]).unwrap();
        for index in model.select(&embeddings).unwrap() {
            model.parameters_mut().set_trainable(index, false);
        }
        wrong.check(&format!("{name}, embeddings are frozen"), &model, [false, false]);
    }
}

#[test]
fn blocks_that_are_computed_again_keep_what_they_read() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Wrong::default();
    for (name, directory) in ["families", "token-tasks"].into_iter().flat_map(fixtures) {
        let mut model = load(&directory, None);
        model.set_gradient_checkpointing(true);
        wrong.check(&name, &model, [true, false]);
    }
}

#[test]
fn an_adapter_keeps_what_it_reads_its_rank_and_with_dora_what_it_brings_to_a_length() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Wrong::default();
    let dora = AdapterMethod::Dora;
    for (name, directory) in ["families", "token-tasks"].into_iter().flat_map(fixtures) {
        let plain = AdapterSpec { r: 4, ..AdapterSpec::default() };
        let some = vec!["layers.*.self_attn.{q_proj,v_proj}".to_owned()];
        let specs = [
            ("lora", plain.clone()),
            ("lora of rank 16", AdapterSpec { r: 16, ..plain.clone() }),
            ("lora, dropout", AdapterSpec { lora_dropout: 0.1, ..plain.clone() }),
            ("dora", AdapterSpec { method: dora, ..plain.clone() }),
            ("dora, dropout", AdapterSpec { method: dora, lora_dropout: 0.1, ..plain.clone() }),
            ("lora on queries and values", AdapterSpec { target_modules: some, ..plain }),
        ];
        for (what, spec) in specs {
            if what.ends_with("values") && !directory.ends_with("families/llama-gelu") {
                continue;
            }
            let model = load(&directory, Some(&spec));
            wrong.check(&format!("{name}, {what}"), &model, [false, spec.lora_dropout > 0.0]);
        }
    }
}

#[test]
fn an_outline_has_the_names_shapes_and_layers_of_the_model() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let adapter = AdapterSpec::default();
    let cases = fixtures("families").into_iter().flat_map(|(_, path)| [(path.clone(), None), (path, Some(&adapter))]);
    for (directory, adapter) in cases {
        let task = task_of_checkpoint(&directory).unwrap();
        let base = Base::Directory(directory.clone());
        let (model, report) = match adapter {
            Some(spec) => Model::load_with_adapter(&base, &task, spec, 1, &Device::flex()).unwrap(),
            None => Model::load(&base, &task, 1, &Device::flex()).unwrap(),
        };
        let outline = Outline::read(&base, &task, adapter).unwrap();
        assert_eq!(outline.unused, report.unused);
        assert_eq!(outline.modules, model.modules());
        assert_eq!(outline.placed, model.adapter().map_or(Vec::new(), |adapter| adapter.placed.clone()));
        let ours = outline.parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.layer, p.may_learn));
        let loaded = model.parameters().iter().map(|p| (p.name.as_str(), p.shape(), p.layer, p.may_learn));
        assert_eq!(ours.collect::<Vec<_>>(), loaded.collect::<Vec<_>>(), "{}", directory.display());
        let stored = outline.parameters.iter().zip(model.parameters().iter());
        assert!(stored.clone().all(|(p, loaded)| p.stored.is_none_or(|stored| stored == loaded.stored_dtype())));
        if adapter.is_none() {
            assert_eq!(outline.layers, model.layers(), "{}", directory.display());
            assert!(stored.clone().all(|(p, _)| p.stored.is_some()));
            let glob = vec![format!("{}.0", model.config().shape.blocks)];
            assert_eq!(outline.select(&glob[0]).unwrap(), model.select(&Patterns::new(&glob).unwrap()).unwrap());
        }
    }
}
