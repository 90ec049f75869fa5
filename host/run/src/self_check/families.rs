//! A small random model of every family on a device beside the CPU: steps, adapters, a base in bfloat16, and texts.
//!
//! Needs no file. That the CPU is right is what [`fixtures`](super::fixtures) and the tests show.

use retune_tensor::{Device, from_float32, random};
use retune_train::TrainError;
use retune_train::generation::{GenerationSpec, generate};
use retune_train::model::adapter::{AdapterMethod, AdapterSpec};
use retune_train::model::family::FAMILIES;
use retune_train::model::{Model, ModelError, Task};

use super::beside_cpu;
use super::continuation::shortfall;
use super::finding::{Finding, largest_difference};
use super::rows::{self, gradients};
use super::small_model::SmallModel;
use super::tolerance::{as_a_gpu, both, exact, gradients_off, sums};
use retune_recipe::diagnostic::{Diagnostic, Result};

/// Prompts of the texts, of unequal lengths.
const PROMPTS: &[&[u32]] = &[&[5, 9, 31, 7], &[11], &[3, 60, 4, 4, 18, 25, 40, 8, 13]];
/// Tokens that each is continued by.
const TOKENS: usize = 12;

/// All families, one after the other.
///
/// # Errors
/// When one cannot be computed at all on the device.
pub fn check(device: &Device) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for family in FAMILIES {
        let failed = |error| {
            Diagnostic::new(format!("a small model of the family `{}` failed on this device", family.model_type))
                .because(error)
        };
        let small = SmallModel::new(family)?;
        findings.extend(of_family(&small, family.model_type, device).map_err(failed)?);
    }
    Ok(findings)
}

fn of_family(small: &SmallModel, name: &str, device: &Device) -> std::result::Result<Vec<Finding>, TrainError> {
    let mut findings = beside_cpu::step(("a step of every family", name), device, false, |on| small.load(on))?;
    let recomputed = beside_cpu::step(("activations made twice", name), device, true, |on| small.load(on))?;
    findings.extend(recomputed);
    for (check, spec) in adapters() {
        findings.extend(beside_cpu::step((check, name), device, false, |on| adapted(small, &spec, on))?);
    }
    findings.extend(narrow(small, name, device)?);
    if small.task == Task::CausalLm {
        findings.push(texts(small, name, device)?);
    }
    Ok(findings)
}

fn adapters() -> [(&'static str, AdapterSpec); 3] {
    let lora = AdapterSpec { r: 4, lora_dropout: 0.1, ..AdapterSpec::default() };
    let dora = AdapterSpec { method: AdapterMethod::Dora, lora_dropout: 0.0, ..lora.clone() };
    [("LoRA", lora.clone()), ("rsLoRA", AdapterSpec { use_rslora: true, ..lora }), ("DoRA", dora)]
}

/// The small model with an adapter that has learnt something: of a new one B is zero.
fn adapted(small: &SmallModel, spec: &AdapterSpec, device: &Device) -> std::result::Result<Model, ModelError> {
    let (mut model, _) = Model::load_with_adapter(&small.base(), &small.task, spec, 0, device)?;
    let learnt: Vec<(usize, Vec<usize>)> = (0..model.parameters().len())
        .filter_map(|index| model.parameters().at(index).map(|parameter| (index, parameter)))
        .filter(|(_, parameter)| parameter.name.ends_with("lora_B.weight"))
        .map(|(index, parameter)| (index, parameter.shape().to_vec()))
        .collect();
    for (index, shape) in learnt {
        let count = shape.iter().product::<usize>() as u64;
        let values = (0..count).map(|at| 0.1 * random::standard_normal(index as u64, at) as f32).collect();
        model.parameters_mut().set_value(index, from_float32(values, &shape, device)?)?;
    }
    Ok(model)
}

/// What a base kept in bfloat16 changes on the device: the logits, and the gradients of an adapter.
fn narrow(small: &SmallModel, name: &str, device: &Device) -> std::result::Result<Vec<Finding>, TrainError> {
    let [(_, spec), ..] = adapters();
    let _portable = as_a_gpu(device);
    let narrow = adapted(small, &spec, device)?;
    let mut wide = narrow.clone();
    for index in 0..narrow.parameters().len() {
        if let Some(parameter) = narrow.parameters().at(index) {
            wide.parameters_mut().set_value(index, parameter.value.widened().map_err(ModelError::from)?)?;
        }
    }
    let bytes = |model: &Model| -> u64 { model.parameters().iter().map(|parameter| parameter.value.byte_len()).sum() };
    let shape = &wide.config().shape;
    let rows = rows::random(wide.task(), shape.vocab_size, 4, 16);
    let steps = |model: &Model| gradients(&rows::step(model, &rows, 4, None)?);
    let off = largest_difference(&rows::logits(&narrow, &rows)?, &rows::logits(&wide, &rows)?);
    let pairs: Vec<_> = steps(&narrow)?.into_iter().zip(steps(&wide)?).collect();
    let share = bytes(&narrow) as f64 / bytes(&wide) as f64;
    let check = "a frozen base in bfloat16";
    Ok(vec![
        Finding::difference(format!("{check}: logits beside float32"), name, off, exact(device)),
        Finding::difference(
            format!("{check}: gradients of LoRA beside float32"),
            name,
            gradients_off(&pairs, device),
            exact(device),
        ),
        // Half of every matrix; vectors, adapters and whole heads stay.
        Finding::difference(format!("{check}: part of the bytes"), name, share, 0.75),
    ])
}

/// How far what the device writes is from what the CPU writes.
fn texts(small: &SmallModel, name: &str, device: &Device) -> std::result::Result<Finding, TrainError> {
    let prompts: Vec<Vec<u32>> = PROMPTS.iter().map(|prompt| prompt.to_vec()).collect();
    let spec = GenerationSpec { max_new_tokens: TOKENS, ..GenerationSpec::default() };
    let write = |on: &Device| {
        let model = small.load(on)?;
        let texts = generate(&model, &prompts, &spec, None, prompts.len())?;
        Ok::<_, TrainError>((model, texts.into_iter().map(|text| text.ids).collect::<Vec<_>>()))
    };
    let ((model, found), (_, expected)) = both(device, write)?;
    let _portable = as_a_gpu(device);
    let mut worst = 0.0f64;
    for ((prompt, found), expected) in prompts.iter().zip(found).zip(&expected) {
        worst = worst.max(shortfall(&model, prompt, expected, &spec, found)?);
    }
    let check = "greedy texts beside the CPU's: parted by logits";
    Ok(Finding::difference(check, name, worst, sums(device)))
}
