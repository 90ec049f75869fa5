//! Language models of every family, and prompts for them.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};

use retune_roles::{Example, Sequence, Target, Task};
use retune_tensor::Device;
use retune_train::model::{Base, KeyValueCache, Model, task_of_checkpoint};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

pub fn load(directory: &Path) -> Model {
    Model::load(&Base::Directory(directory.to_owned()), &Task::CausalLm, 1, &Device::flex()).unwrap().0
}

/// Every language model of the fixtures.
pub fn families() -> Vec<(String, PathBuf)> {
    let places = std::fs::read_dir(fixtures().join("families")).unwrap().map(|entry| entry.unwrap().path());
    let all = places.chain([fixtures().join("llama-tiny")]);
    let mut all: Vec<(String, PathBuf)> = all
        .filter(|path| task_of_checkpoint(path).is_ok_and(|task| task == Task::CausalLm))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    all.sort();
    all
}

/// A Llama whose rotary positions depend on the length of the text from the twelfth token on.
pub fn dynamic() -> Model {
    let place = tempfile::tempdir().unwrap();
    let config =
        super::llama_config().replace(r#""max_position_embeddings": 24"#, r#""max_position_embeddings": 12"#).replace(
            r#""rope_theta": 10000.0"#,
            r#""rope_theta": 100.0, "rope_scaling": {"type": "dynamic", "factor": 4.0}"#,
        );
    std::fs::write(place.path().join("config.json"), config).unwrap();
    Model::load(&Base::Config(place.path().join("config.json")), &Task::CausalLm, 3, &Device::flex()).unwrap().0
}

pub fn models() -> Vec<(String, Model)> {
    let read = families().into_iter().map(|(name, path)| (name, load(&path)));
    read.chain([("dynamic".to_owned(), dynamic())]).collect()
}

/// Prompts of unequal lengths.
pub fn prompts(model: &Model) -> Vec<Vec<u32>> {
    let vocabulary = model.config().shape.vocab_size as u64;
    let mut draw = super::Draw(5);
    [4, 1, 9, 6, 2].map(|length| (0..length).map(|_| draw.below(vocabulary) as u32).collect()).to_vec()
}

/// As far as the model's positions go, at most 14 tokens.
pub fn count(model: &Model) -> usize {
    (model.config().shape.longest_row() - 9).min(14)
}

/// The logits behind a text, by the forward pass of training.
pub fn whole(model: &Model, ids: &[u32]) -> Vec<f32> {
    every(model, ids).pop().unwrap()
}

/// The logits behind each token of a text.
pub fn every(model: &Model, ids: &[u32]) -> Vec<Vec<f32>> {
    let example = Example::new("text", Sequence::of(ids.to_vec()), Target::None);
    let input = model.input(&[&example]).unwrap();
    let logits = model.forward(&model.weights(false), &input, None).unwrap().logits.to_float32().unwrap();
    logits.chunks_exact(model.config().shape.vocab_size).map(<[f32]>::to_vec).collect()
}

/// Tokens of the prompts, each chosen by the forward pass of training on the whole text.
pub fn the_slow_way(model: &Model, prompts: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let most = |logits: &[f32]| (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32;
    let one = |prompt: &Vec<u32>| {
        let mut ids = prompt.clone();
        (0..count(model)).for_each(|_| ids.push(most(&whole(model, &ids))));
        ids.split_off(prompt.len())
    };
    prompts.iter().map(one).collect()
}

/// Three texts are read step by step, some a token at a time and some several, and after each step the logits behind them
/// are those of the forward pass of training on the whole texts.
pub fn what_is_stored_changes_no_logit() {
    for (name, model) in models() {
        let (weights, vocabulary) = (model.weights(false), model.config().shape.vocab_size);
        let text = |start: usize| (0..14).map(|i| ((start + 7 * i + i * i) % vocabulary) as u32).collect::<Vec<u32>>();
        let texts = [text(3), text(11), text(20)];
        let mut caches = vec![KeyValueCache::default(); 3];
        for read in [[4, 1, 6], [5, 2, 7], [6, 6, 9], [9, 7, 10], [14, 8, 14]] {
            // Where positions depend on the length, what was read of a shorter text is of no use.
            if caches.iter().zip(read).any(|(cache, to)| !model.keeps(cache, to)) {
                caches.iter_mut().for_each(KeyValueCache::clear);
            }
            let mut pieces: Vec<(&[u32], &mut KeyValueCache)> = texts
                .iter()
                .zip(read)
                .zip(&mut caches)
                .map(|((ids, to), cache)| (&ids[cache.tokens()..to], cache))
                .collect();
            let found = model.extend(&weights, &mut pieces).unwrap().to_float32().unwrap();
            for ((found, ids), to) in found.chunks(vocabulary).zip(&texts).zip(read) {
                let expected = whole(&model, &ids[..to]);
                let size = expected.iter().fold(1.0f32, |most, x| most.max(x.abs()));
                let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off <= 1e-5 * size, "{name}, {to} tokens: {off} of {size}");
            }
            assert!(caches.iter().map(KeyValueCache::tokens).eq(read));
        }
    }
}
