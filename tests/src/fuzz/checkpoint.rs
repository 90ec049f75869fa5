//! The weights of a base model.
//!
//! The first line of the input names a small model, whose `config.json` is beside the weights. What follows is a safetensors file,
//! or, when it begins with a brace, the header of one: its length is written before it and zeros behind it. Laws: an error or a
//! model of the sizes that the configuration says; no more data is taken than the file has.

use retune_roles::Task;
use retune_tensor::Device;
use retune_train::model::{Base, Model, Outline, check_files};
use serde_json::Value;

use super::files::{folder, small_model};
use super::{check_bounded, headed};

/// The most data that is put behind a header.
const DATA: u64 = 1 << 20;

/// Loads weights; panics when a law is broken.
pub fn checkpoint(data: &[u8]) {
    let (name, file) = headed(data);
    let model = small_model(name);
    let made = if file.first() == Some(&b'{') { behind(file) } else { file.to_owned() };
    let at = folder(&[("config.json", &model.config), ("model.safetensors", &made)]);
    let base = Base::Directory(at.path().to_owned());
    let labels = Task::SequenceClassification { labels: vec!["no".to_owned(), "yes".to_owned()] };
    for task in [Task::CausalLm, labels] {
        if let Err(error) = check_files(at.path(), task.kind(), None) {
            check_bounded(&error.to_string());
        }
        let outline = Outline::read(&base, &task, None);
        match Model::load(&base, &task, 1, &Device::flex()) {
            Ok((model, _)) => {
                let count: usize =
                    model.parameters().iter().map(|parameter| parameter.value.shape().iter().product::<usize>()).sum();
                let outlined = outline.map(|outline| outline.numel()).unwrap_or_default();
                assert_eq!(count as u64, outlined, "the model is not what its outline says");
            }
            Err(error) => check_bounded(&error.to_string()),
        }
    }
}

/// A file with `header`, and zeros for as many bytes as it describes.
fn behind(header: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(header).unwrap_or_default();
    let tensors = value.as_object().into_iter().flatten();
    let end = tensors.filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64()).max().unwrap_or_default();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.resize(file.len() + end.min(DATA) as usize, 0);
    file
}
