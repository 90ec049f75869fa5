//! Times a checkpoint.
#![allow(clippy::unwrap_used, missing_docs)]
use std::{ops::ControlFlow, time::Instant};
use retune_roles::{Example, Target, builtin::CrossEntropy};
use retune_tensor::Device;
use retune_train::{Roles, TrainEvent, TrainSpec, Trainer, model::{Base, Model, Task}};
fn main() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    std::fs::write(&path, r#"{"model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
        "intermediate_size": 1536, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu", "pad_token_id": 0,
        "initializer_range": 0.02, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}"#).unwrap();
    let task = Task::SequenceClassification { labels: (0..77).map(|i| i.to_string()).collect() };
    let device = Device::flex();
    let t = Instant::now();
    let (model, _) = Model::load(&Base::Config(path.clone()), &task, 1, &device).unwrap();
    println!("load {:?}", t.elapsed());
    let rows: Vec<Example> = (0..6).map(|r| Example { key: r.to_string(), input_ids: (5..20).collect(), token_type_ids: vec![], target: Target::Class(r), extra: vec![] }).collect();
    let mut spec = TrainSpec { epochs: 3, batch_size: 2, ..TrainSpec::default() };
    spec.checkpoint.directory = dir.path().join("c");
    let mut last = Instant::now();
    let trainer = Trainer::new(model, spec.clone(), Roles::new(Box::new(CrossEntropy::for_sequences())), &rows, &[]).unwrap();
    trainer.run(&mut |e: &TrainEvent| { let line = serde_json::to_string(e).unwrap(); println!("{:?} {}", last.elapsed(), &line[..line.len().min(60)]); last = Instant::now(); ControlFlow::Continue(()) }).unwrap();
    let t = Instant::now();
    let (model, _) = Model::load(&Base::Config(path), &task, 1, &device).unwrap();
    let mut trainer = Trainer::new(model, spec, Roles::new(Box::new(CrossEntropy::for_sequences())), &rows, &[]).unwrap();
    let t2 = Instant::now();
    trainer.resume().unwrap();
    println!("new {:?} resume {:?}", t2 - t, t2.elapsed());
}
