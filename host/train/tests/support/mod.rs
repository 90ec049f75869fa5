//! A tiny random BERT, rows it can learn, and an observer that remembers.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod expected;
pub mod peers;
pub mod splitting;
pub mod texts;

use std::{ops::ControlFlow, path::Path};

use retune_roles::{
    Batch, Change, Event, Example, InputSpec, Layer, Loss, LossOutput, Policy, PolicyContract, Progress, Sequence,
    Target,
    builtin::{Accuracy, CrossEntropy},
};
use retune_tensor::Device;
use retune_train::{
    AdamW, CheckpointSpec, Observer, Outcome, Roles, TrainError, TrainEvent, TrainSpec, Trainer,
    model::{Base, Model, Task},
};

pub const LABELS: [&str; 3] = ["low", "middle", "high"];

pub fn bert_config(dropout: f64) -> String {
    format!(
        r#"{{"model_type": "bert", "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 24, "type_vocab_size": 2, "hidden_act": "gelu", "pad_token_id": 0,
        "initializer_range": 0.2, "layer_norm_eps": 1e-12, "hidden_dropout_prob": {dropout}, "attention_probs_dropout_prob": {dropout}}}"#
    )
}

pub fn llama_config() -> String {
    r#"{"model_type": "llama", "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 32, "max_position_embeddings": 24, "rms_norm_eps": 1e-6, "hidden_act": "silu",
    "initializer_range": 0.2, "rope_theta": 10000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2}"#
        .to_string()
}

fn load(config: &str, task: &Task) -> Model {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    std::fs::write(&path, config).unwrap();
    Model::load(&Base::Config(path), task, 7, &Device::flex()).unwrap().0
}

pub fn bert(dropout: f64) -> Model {
    load(&bert_config(dropout), &Task::SequenceClassification { labels: LABELS.map(String::from).to_vec() })
}

/// A classifier of so many labels.
pub fn bert_of(labels: usize) -> Model {
    let labels = (0..labels).map(|n| n.to_string()).collect();
    load(&bert_config(0.0), &Task::SequenceClassification { labels })
}

/// A language model of this configuration.
pub fn model_of(config: &str) -> Model {
    load(config, &Task::CausalLm)
}

pub fn llama() -> Model {
    load(&llama_config(), &Task::CausalLm)
}

/// A language model whose output projection is its token table.
pub fn tied_llama() -> Model {
    load(&llama_config().replace(r#""tie_word_embeddings": false"#, r#""tie_word_embeddings": true"#), &Task::CausalLm)
}

/// A small deterministic stream for test data.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Rows of 3 to 20 tokens whose class is the third of the vocabulary that most tokens come from.
pub fn rows(count: usize, seed: u64) -> Vec<Example> {
    let mut draw = Draw(seed);
    let row = |index: usize| {
        let class = draw.below(3);
        let length = 3 + draw.below(18) as usize;
        let token = |_| if draw.below(4) == 0 { 3 + draw.below(57) } else { 3 + class * 19 + draw.below(19) };
        let ids = (0..length).map(token).map(|id| id as u32).collect();
        Example::new(format!("train.csv:{}", index + 1), Sequence::of(ids), Target::Class(class as u32))
    };
    (0..count).map(row).collect()
}

/// Rows for a language model; the second token is not learnt.
pub fn token_rows(count: usize, seed: u64) -> Vec<Example> {
    let mut draw = Draw(seed);
    let row = |index: usize| {
        let length = 3 + draw.below(18) as usize;
        let start = draw.below(50);
        let ids: Vec<u32> = (0..length as u64).map(|n| (3 + (start + 2 * n) % 57) as u32).collect();
        let learnt = std::iter::once(2..length as u32).collect();
        let sequence = Sequence { ids, segments: Vec::new(), learnt };
        Example::new(format!("text.jsonl:{}", index + 1), sequence, Target::None)
    };
    (0..count).map(row).collect()
}

pub fn spec(directory: &Path) -> TrainSpec {
    TrainSpec {
        epochs: 2,
        batch_size: 4,
        optimizer: AdamW { learning_rate: 5e-3, ..AdamW::default() },
        checkpoint: CheckpointSpec { directory: directory.join("checkpoints"), ..CheckpointSpec::default() },
        ..TrainSpec::default()
    }
}

pub fn roles() -> Roles {
    Roles { metrics: vec![Box::new(Accuracy::new())], ..Roles::new(Box::new(CrossEntropy::for_sequences())) }
}

/// Keeps all events, and stops after `stop_after` of them when that is given.
#[derive(Default)]
pub struct Recorder {
    pub events: Vec<TrainEvent>,
    pub stop_after: Option<usize>,
}

impl Observer for Recorder {
    fn event(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        self.events.push(event.clone());
        if self.stop_after.is_some_and(|n| self.events.len() >= n) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Recorder {
    pub fn losses(&self) -> Vec<f64> {
        self.events
            .iter()
            .filter_map(|e| if let TrainEvent::Step { loss, .. } = e { Some(*loss) } else { None })
            .collect()
    }

    pub fn evaluations(&self) -> Vec<(u64, Vec<(String, f64)>)> {
        let each = self.events.iter().filter_map(|e| match e {
            TrainEvent::Evaluation { step, values, .. } => Some((*step, values.clone())),
            _ => None,
        });
        each.collect()
    }

    pub fn warnings(&self) -> Vec<String> {
        let each = self
            .events
            .iter()
            .filter_map(|e| if let TrainEvent::Warning { message, .. } = e { Some(message.clone()) } else { None });
        each.collect()
    }
}

pub fn train(
    model: Model,
    spec: TrainSpec,
    roles: Roles,
    train: &[Example],
    validation: &[Example],
) -> (Result<Outcome, TrainError>, Recorder) {
    let mut recorder = Recorder::default();
    let outcome = Trainer::new(model, spec, roles, &train, &validation).and_then(|trainer| trainer.run(&mut recorder));
    (outcome, recorder)
}

/// Digests of all parameters, by name.
pub fn bytes(model: &Model) -> Vec<(String, [u8; 32])> {
    let parameters = model.parameters();
    (0..parameters.len())
        .map(|i| (parameters.at(i).unwrap().name.clone(), parameters.fingerprint(i).unwrap()))
        .collect()
}

/// A policy made of a contract and a closure over the event; saves how often it was asked.
pub struct Scripted<F> {
    pub contract: PolicyContract,
    pub asked: u64,
    pub script: F,
}

impl<F: FnMut(&Event, u64) -> Vec<Change>> Policy for Scripted<F> {
    fn name(&self) -> &str {
        "scripted"
    }
    fn describe(&self) -> PolicyContract {
        self.contract
    }
    fn attach(&mut self, layers: &[Layer]) -> retune_roles::Result<()> {
        assert!(layers.windows(2).all(|pair| pair[0].depth <= pair[1].depth));
        Ok(())
    }
    fn decide(&mut self, event: &Event) -> retune_roles::Result<Vec<Change>> {
        if event.trigger != retune_roles::Trigger::Start {
            self.asked += 1;
        }
        Ok((self.script)(event, self.asked))
    }
    fn save(&mut self) -> retune_roles::Result<Option<Vec<u8>>> {
        Ok(Some(self.asked.to_le_bytes().to_vec()))
    }
    fn load(&mut self, state: &[u8]) -> retune_roles::Result<()> {
        self.asked = u64::from_le_bytes(state.try_into().unwrap());
        Ok(())
    }
}

/// Cross-entropy, weighted by how often it was called.
pub struct Counting {
    inner: CrossEntropy,
    calls: u64,
}

impl Counting {
    pub fn new() -> Self {
        Self { inner: CrossEntropy::for_sequences(), calls: 0 }
    }
}

impl Loss for Counting {
    fn name(&self) -> &str {
        "counting"
    }
    fn wants(&self) -> &[InputSpec] {
        self.inner.wants()
    }
    fn compute(&mut self, batch: &Batch, at: &Progress) -> retune_roles::Result<LossOutput> {
        self.calls += 1;
        let mut output = self.inner.compute(batch, at)?;
        output.numerator = output.numerator.mul_scalar(1.0 + (self.calls % 7) as f64 / 10.0).unwrap();
        Ok(output)
    }
    fn save(&mut self) -> retune_roles::Result<Option<Vec<u8>>> {
        Ok(Some(self.calls.to_le_bytes().to_vec()))
    }
    fn load(&mut self, state: &[u8]) -> retune_roles::Result<()> {
        self.calls = u64::from_le_bytes(state.try_into().unwrap());
        Ok(())
    }
}
