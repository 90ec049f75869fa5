//! The models agree with transformers: hidden states, logits, losses and gradients
//! of the fixtures that `tests/reference/make_fixtures.py` wrote.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{AnyTensor, Device, fused};
use retune_train::model::{Base, DropoutSeeds, Forward, Input, Model, Task};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

struct Expected(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl Expected {
    fn read(name: &str) -> Self {
        let bytes = std::fs::read(fixture(name).join("expected.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let values = |view: &safetensors::tensor::TensorView| -> Vec<f64> {
            match view.dtype() {
                safetensors::Dtype::F32 => {
                    view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
                }
                _ => view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            }
        };
        Self(file.iter().map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), values(&view)))).collect())
    }

    fn values(&self, name: &str) -> &[f64] {
        &self.0[name].1
    }

    /// The rows as the data path would hand them over.
    fn examples(&self) -> Vec<Example> {
        let width = self.0["input_ids"].0[1];
        let lengths: Vec<usize> = self.values("lengths").iter().map(|n| *n as usize).collect();
        let row = |name: &str, row: usize| self.0.get(name).map(|(_, v)| &v[row * width..row * width + lengths[row]]);
        (0..lengths.len())
            .map(|i| {
                let ids = row("input_ids", i).unwrap().iter().map(|id| *id as u32).collect();
                let mut sequence = Sequence::of(ids);
                if let Some(segments) = row("token_type_ids", i) {
                    sequence.segments = segments.iter().map(|s| *s as u8).collect();
                }
                let target = match self.0.get("labels") {
                    None => Target::None,
                    Some((shape, labels)) if shape.len() == 1 => Target::Class(labels[i] as u32),
                    Some(_) => {
                        let labels: Vec<i64> = row("labels", i).unwrap().iter().map(|l| *l as i64).collect();
                        sequence.learnt = std::iter::once(1..sequence.len() as u32).collect();
                        assert_eq!(sequence.next_token_labels(), labels, "the fixture learns every token");
                        Target::None
                    }
                };
                Example::new(format!("row {i}"), sequence, target)
            })
            .collect()
    }

    fn gradients(&self) -> Vec<&str> {
        self.0.keys().filter_map(|k| k.strip_prefix("grad.")).collect()
    }
}

fn load(name: &str, task: &Task) -> Model {
    Model::load(&Base::Directory(fixture(name)), task, 1, &Device::flex()).unwrap().0
}

fn classes(count: usize) -> Task {
    Task::SequenceClassification { labels: (0..count).map(|i| format!("LABEL_{i}")).collect() }
}

fn input(model: &Model, examples: &[Example]) -> Input {
    model.input(&examples.iter().collect::<Vec<_>>()).unwrap()
}

/// Mean negative log-likelihood, as transformers computes it without arguments.
fn mean_loss(forward: &Forward, input: &Input) -> AnyTensor {
    let labels = input.labels().unwrap().unwrap();
    let counted = labels.to_int64().unwrap().iter().filter(|l| **l != -100).count();
    let log_probs = fused::token_log_probs(&forward.logits, labels, -100).unwrap();
    log_probs.sum(&[], false).unwrap().mul_scalar(-1.0 / counted as f64).unwrap()
}

#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(worst <= tolerance, "{what}: {worst} away");
    assert!(found.iter().any(|x| *x != 0.0), "{what} is all zero");
}

/// Hidden states where there are tokens, logits there too, loss and gradients.
fn check(name: &str, task: &Task) {
    let expected = Expected::read(name);
    let model = load(name, task);
    let input = input(&model, &expected.examples());
    let weights = model.weights(true);
    let forward = model.forward(&weights, &input, None).unwrap();

    let real: Vec<bool> = (0..input.batch_size() * input.seq_len())
        .map(|i| i % input.seq_len() < input.lengths()[i / input.seq_len()])
        .collect();
    let at_tokens = |found: Vec<f32>, expected: &[f64]| -> (Vec<f32>, Vec<f64>) {
        let width = found.len() / real.len();
        found.iter().zip(expected).enumerate().filter(|(i, _)| real[i / width]).map(|(_, (a, b))| (*a, *b)).unzip()
    };
    if expected.0.contains_key("last_hidden") {
        let (found, wanted) = at_tokens(forward.hidden().to_float32().unwrap(), expected.values("last_hidden"));
        assert_close("hidden states", &found, &wanted, 1e-4);
    }
    let logits = forward.logits.to_float32().unwrap();
    if forward.logits.rank() == 3 {
        let (found, wanted) = at_tokens(logits, expected.values("logits"));
        assert_close("logits", &found, &wanted, 1e-4);
    } else {
        assert_close("logits", &logits, expected.values("logits"), 1e-4);
    }

    let loss = mean_loss(&forward, &input);
    assert!((loss.item().unwrap() - expected.values("loss")[0]).abs() < 1e-5);
    let gradients = weights.backward(&loss).unwrap();
    assert!(gradients.iter().all(Option::is_some), "every parameter of {name} learns");
    assert!(!expected.gradients().is_empty());
    for parameter in expected.gradients() {
        let index = model.parameters().index_of(parameter).unwrap();
        let gradient = gradients[index].as_ref().unwrap();
        assert!(!gradient.is_tracked());
        assert_eq!(gradient.shape(), model.parameters().at(index).unwrap().shape());
        assert_close(parameter, &gradient.to_float32().unwrap(), expected.values(&format!("grad.{parameter}")), 2e-5);
    }
}

#[test]
fn a_small_bert_agrees_with_transformers() {
    check("bert-tiny", &classes(5));
}

#[test]
fn a_small_llama_agrees_with_transformers() {
    check("llama-tiny", &Task::CausalLm);
}

#[test]
fn a_sharded_bfloat16_llama_agrees_with_transformers() {
    check("llama-tiny-bf16-sharded", &Task::CausalLm);
}

#[test]
fn a_llama_that_classifies_agrees_with_transformers() {
    check("llama-classifier-tiny", &classes(3));
}

/// The checkpoint is 90 MB and not part of this repository: `cargo xtask get-minilm`
/// fetches it, `RETUNE_MINILM` says where else it is, and without it this test passes.
fn minilm() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let places = [
        std::env::var_os("RETUNE_MINILM").map(PathBuf::from),
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/all-MiniLM-L6-v2")),
        Some(home.join(".cache/retune/models/all-MiniLM-L6-v2")),
    ];
    places.into_iter().flatten().find(|place| place.join("model.safetensors").is_file())
}

#[test]
fn minilms_embeddings_agree_with_transformers() {
    let Some(directory) = minilm() else {
        eprintln!("skipped: all-MiniLM-L6-v2 is not here; run `cargo xtask get-minilm` or set RETUNE_MINILM");
        return;
    };
    let expected = Expected::read("minilm");
    let (model, report) = Model::load(&Base::Directory(directory), &classes(2), 1, &Device::flex()).unwrap();
    assert_eq!(report.new, ["classifier.weight", "classifier.bias"]);
    assert!(report.unused.is_empty(), "{report:?}");
    let input = input(&model, &expected.examples());
    let forward = model.forward(&model.weights(false), &input, None).unwrap();
    let hidden = forward.hidden().to_float32().unwrap();
    let (seq, width) = (input.seq_len(), model.config().shape.hidden_size);
    let at = |row: usize, position: usize| &hidden[(row * seq + position) * width..(row * seq + position + 1) * width];
    let (mut embeddings, mut first) = (Vec::new(), Vec::new());
    for (row, length) in input.lengths().iter().enumerate() {
        let mut mean = vec![0.0f64; width];
        (0..*length).for_each(|p| mean.iter_mut().zip(at(row, p)).for_each(|(m, x)| *m += f64::from(*x)));
        let norm = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
        embeddings.extend(mean.iter().map(|x| (x / norm) as f32));
        first.extend_from_slice(at(row, 0));
    }
    assert_close("embeddings", &embeddings, expected.values("embeddings"), 1e-4);
    assert_close("first hidden states", &first, expected.values("first_hidden"), 1e-4);
}

#[test]
fn tied_embeddings_are_the_output_projection() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("config.json");
    let text = std::fs::read_to_string(fixture("llama-tiny").join("config.json")).unwrap();
    std::fs::write(&path, text.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true")).unwrap();
    let (model, report) = Model::load(&Base::Config(path), &Task::CausalLm, 1, &Device::flex()).unwrap();
    assert!(!report.new.contains(&"lm_head.weight".to_owned()));
    assert_eq!(model.layers().last().unwrap().name, "model.norm");

    let input = input(&model, &Expected::read("llama-tiny").examples());
    let weights = model.weights(true);
    let forward = model.forward(&weights, &input, None).unwrap();
    let (hidden, logits) = (forward.hidden().to_float32().unwrap(), forward.logits.to_float32().unwrap());
    let table = model.parameters().get("model.embed_tokens.weight").unwrap().value.to_float32().unwrap();
    let (width, vocab) = (model.config().shape.hidden_size, model.config().shape.vocab_size);
    for token in [0, 5, 255] {
        let expected: f32 = (0..width).map(|i| hidden[3 * width + i] * table[token * width + i]).sum();
        assert!((logits[3 * vocab + token] - expected).abs() < 1e-5);
    }
    // A token that never comes in still learns, as an output.
    let gradients = weights.backward(&mean_loss(&forward, &input)).unwrap();
    let gradient = gradients[0].as_ref().unwrap().to_float32().unwrap();
    let absent =
        (0..vocab).find(|id| !Expected::read("llama-tiny").values("input_ids").contains(&(*id as f64))).unwrap();
    assert!(gradient[absent * width..(absent + 1) * width].iter().any(|g| *g != 0.0));
}

/// Numerical slopes of the whole model, independent of any other implementation.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    for (name, task) in [("bert-tiny", classes(5)), ("llama-tiny", Task::CausalLm)] {
        let mut model = load(name, &task);
        let input = input(&model, &Expected::read(name).examples());
        let seeds = DropoutSeeds::new(vec![3, 1, 4, 1]);
        let loss = |model: &Model, tracked: bool| {
            let weights = model.weights(tracked);
            let forward = model.forward(&weights, &input, Some(&seeds)).unwrap();
            let loss = mean_loss(&forward, &input);
            (loss.item().unwrap(), tracked.then(|| weights.backward(&loss).unwrap()))
        };
        let gradients = loss(&model, true).1.unwrap();
        for index in (0..model.parameters().len()).step_by(5) {
            let value = model.parameters().at(index).unwrap().value.clone();
            let gradient = gradients[index].as_ref().unwrap().to_float32().unwrap();
            // Along the gradient itself the slope is its length.
            let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            if length < 1e-3 {
                continue;
            }
            let step = 0.01 / length.max(1.0);
            let moved = |sign: f64| {
                let along = gradients[index].as_ref().unwrap().mul_scalar(sign * step / length).unwrap();
                value.add(&along).unwrap()
            };
            model.parameters_mut().set_value(index, moved(1.0)).unwrap();
            let above = loss(&model, false).0;
            model.parameters_mut().set_value(index, moved(-1.0)).unwrap();
            let below = loss(&model, false).0;
            model.parameters_mut().set_value(index, value).unwrap();
            let slope = (above - below) / (2.0 * step);
            let parameter = &model.parameters().at(index).unwrap().name;
            assert!((slope - length).abs() < 0.01 * length + 2e-4, "{parameter}: slope {slope}, gradient {length}");
        }
    }
}
