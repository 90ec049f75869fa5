//! Loads a checkpoint, disturbs every parameter, exports it and writes its logits,
//! for `tests/reference/check_export.py`:
//! `export_logits CHECKPOINT NEW_DIRECTORY LOGITS.safetensors`. With a fourth argument, settings of an adapter as JSON, it has
//! one, which is what is disturbed and exported, for `tests/reference/check_peft.py`.

use std::error::Error;
use std::path::Path;

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{Device, from_float32};
use retune_train::model::{Base, ExportForm, Model, Task, task_of_checkpoint};
use safetensors::{Dtype, tensor::TensorView};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (from, to, logits_file, adapter) = match &arguments[..] {
        [from, to, logits_file] => (from, to, logits_file, None),
        [from, to, logits_file, adapter] => (from, to, logits_file, Some(serde_json::from_str(adapter)?)),
        _ => return Err("export_logits CHECKPOINT NEW_DIRECTORY LOGITS.safetensors [ADAPTER]".into()),
    };
    let three = || Task::SequenceClassification { labels: ["no", "yes", "perhaps"].map(str::to_owned).to_vec() };
    let task = task_of_checkpoint(Path::new(from)).unwrap_or_else(|_| three());
    let base = Base::Directory(from.into());
    let (mut model, report) = match &adapter {
        Some(spec) => Model::load_with_adapter(&base, &task, spec, 42, &Device::flex())?,
        None => Model::load(&base, &task, 42, &Device::flex())?,
    };
    println!("{} parameters, of which new: {:?}", model.parameters().len(), report.new);
    for index in 0..model.parameters().len() {
        let parameter = model.parameters().at(index).ok_or("no such parameter")?;
        if parameter.may_learn {
            // B of a new adapter is zero, and would hide A.
            let noise = (0..parameter.numel()).map(|i| 0.05 * ((i * 7919 % 1009) as f32).sin()).collect();
            let added = if adapter.is_some() {
                from_float32(noise, parameter.shape(), model.device())?
            } else {
                parameter.value.mul_scalar(0.01)?
            };
            let value = parameter.value.add(&added)?;
            model.parameters_mut().set_value(index, value)?;
        }
    }
    let form = if adapter.is_some() { ExportForm::Adapter { base: from } } else { ExportForm::Whole };
    model.export_as(form, Path::new(to), None, None)?;

    let rows: [&[u32]; 3] = [&[7, 11, 13, 17, 19], &[23, 29], &[31, 37, 41, 43, 47, 53, 59, 61]];
    let examples = rows.map(|ids| Example::new("row", Sequence::of(ids.to_vec()), Target::None));
    let input = model.input(&examples.iter().collect::<Vec<_>>())?;
    let logits = model.forward(&model.weights(false), &input, None)?.logits;

    let padding = model.config().pad_token_id.unwrap_or(0);
    let ids: Vec<u8> = rows
        .iter()
        .flat_map(|row| (0..input.seq_len()).map(|i| i64::from(row.get(i).copied().unwrap_or(padding))))
        .flat_map(i64::to_le_bytes)
        .collect();
    let lengths: Vec<u8> = rows.iter().flat_map(|row| (row.len() as i64).to_le_bytes()).collect();
    let values: Vec<u8> = logits.to_float32()?.into_iter().flat_map(f32::to_le_bytes).collect();
    let tensors = [
        ("input_ids", TensorView::new(Dtype::I64, vec![3, input.seq_len()], &ids)?),
        ("lengths", TensorView::new(Dtype::I64, vec![3], &lengths)?),
        ("logits", TensorView::new(Dtype::F32, logits.shape(), &values)?),
    ];
    safetensors::serialize_to_file(tensors, None, Path::new(logits_file))?;
    Ok(())
}
