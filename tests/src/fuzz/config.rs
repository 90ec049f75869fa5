//! The `config.json` of a base model.
//!
//! The first line of the input names a small model, whose weights lie beside the `config.json` that follows. Laws: each way of
//! opening the folder gives an error or a model; memory is bounded by the weights.

use retune_roles::{Example, Sequence, Target, Task};
use retune_tensor::Device;
use retune_train::generation::GenerationSpec;
use retune_train::model::{Base, Model, ModelConfig, Outline, check_files, task_of_checkpoint};

use super::files::{folder, small_model};
use super::{check_bounded, headed};

/// Opens a folder in each way; panics when a law is broken.
pub fn config(data: &[u8]) {
    let (name, config) = headed(data);
    let model = small_model(name);
    let at = folder(&[("config.json", config), ("model.safetensors", &model.weights)]);
    let base = Base::Directory(at.path().to_owned());
    let alone = Base::Config(at.path().join("config.json"));
    let mut told = Vec::new();
    let mut tell = |error: Option<String>| told.extend(error);
    let labels = Task::SequenceClassification { labels: vec!["no".to_owned(), "yes".to_owned()] };
    for task in [Task::CausalLm, Task::MaskedLm, labels] {
        tell(check_files(at.path(), task.kind(), None).err().map(|error| error.to_string()));
        tell(Outline::read(&alone, &task, None).err().map(|error| error.to_string()));
        let target = if matches!(task, Task::SequenceClassification { .. }) { Target::Class(1) } else { Target::None };
        match Model::load(&base, &task, 1, &Device::flex()) {
            Ok((model, _)) => tell(forward(&model, target).err()),
            Err(error) => tell(Some(error.to_string())),
        }
    }
    tell(ModelConfig::read(at.path()).err().map(|error| error.to_string()));
    tell(GenerationSpec::of_model(at.path()).err().map(|error| error.to_string()));
    tell(task_of_checkpoint(at.path()).err().map(|error| error.to_string()));
    told.iter().for_each(|told| check_bounded(told));
}

/// A pass over three tokens.
fn forward(model: &Model, target: Target) -> Result<(), String> {
    let row = Example::new("a", Sequence::text(vec![1, 2, 3]), target);
    let input = model.input(&[&row]).map_err(|error| error.to_string())?;
    model.forward(&model.weights(false), &input, None).map(drop).map_err(|error| error.to_string())
}
