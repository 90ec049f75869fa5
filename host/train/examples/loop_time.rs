//! Times the optimiser's part of a step.
#![allow(clippy::unwrap_used, missing_docs)]
use std::time::Instant;
use retune_tensor::Device;
use retune_train::{AdamW, adamw::{Optimizer, Rate}, gradients::{Gradients, from_floats}, model::{Base, Model, Task}};
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10.0
}
fn main() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    std::fs::write(&path, r#"{"model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
        "intermediate_size": 1536, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu", "pad_token_id": 0,
        "initializer_range": 0.02, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}"#).unwrap();
    let task = Task::SequenceClassification { labels: (0..77).map(|i| i.to_string()).collect() };
    let device = Device::flex();
    let (mut model, _) = Model::load(&Base::Config(path), &task, 1, &device).unwrap();
    let n = model.parameters().len();
    let mut optimizer = Optimizer::new(AdamW::default(), n);
    for _ in 0..6 {
        let parts: Vec<_> = model.parameters().iter().map(|p| Some(from_floats(vec![1e-3; p.numel() as usize], p.shape(), &device).unwrap())).collect();
        let c0 = cpu();
        let t0 = Instant::now();
        let mut gradients = Gradients::none(n);
        gradients.add(parts).unwrap();
        let t1 = Instant::now();
        let norms = gradients.squared_norms().unwrap();
        let c2 = cpu();
        let t2 = Instant::now();
        optimizer.update(model.parameters_mut(), gradients, 1.0, |_| Rate { learning_rate: 1e-4, weight_decay: 0.01 }, false).unwrap();
        let c3 = cpu();
        let t3 = Instant::now();
        println!("cpu ms: norms {:.0} update {:.0}; take {:?} norms {:?} update {:?} ({})", c2 - c0, c3 - c2, t1 - t0, t2 - t1, t3 - t2, norms.len());
    }
}
