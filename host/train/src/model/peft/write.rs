//! What `peft` reads of a model's adapter: the settings as version 0.21 writes them, and the tensors by their names.
//!
//! Where adapters sit is said by the last segment of names where that takes no other module, else in full; globs of a recipe
//! are thus spelled out. `peft` puts weights that are trained whole into a copy of their module, so modules stand there, not
//! parameters.
//!
//! An adapter that started as a part of the base is written as a plain one of twice the rank, `[A, A₀]` and `[B, -B₀]`, as peft
//! converts its own: it fits the base as that is stored, and what loads it needs no word for how it started.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;
use retune_tensor::AnyTensor;
use serde_json::{Map, Value, json};

use super::{PREFIX, patterns, settings};
use crate::files::tensor_file::Source;
use crate::model::adapter::{AdapterMethod, InitLoraWeights, ModuleKind, Placed};
use crate::model::{Adapted, Model, ModelError, Origin, Parameter, StoredDtype};

/// The version whose keys are written.
const PEFT_VERSION: &str = "0.21.2";

/// Heads that `peft` saves whole for tasks with labels, whatever the settings say; the module that it takes is this one.
const HEADS: [&str; 2] = ["classifier", "score"];

/// `adapter_config.json`; `base` is how the base model is found again.
pub(in crate::model) fn config(model: &Model, adapted: &Adapted, base: &str) -> Map<String, Value> {
    let spec = &adapted.spec;
    let (r, lora_alpha) = match spec.init_lora_weights.is_principal() {
        true => doubled(spec.use_rslora, spec.r, spec.lora_alpha),
        false => (spec.r, spec.lora_alpha),
    };
    let written = |placed: &Placed| match placed.start {
        Some(_) => doubled(spec.use_rslora, placed.r, placed.lora_alpha),
        None => (placed.r, placed.lora_alpha),
    };
    let name = |placed: &Placed| model.modules()[placed.module].name.clone();
    let taken: BTreeSet<String> = adapted.placed.iter().map(name).collect();
    let others: BTreeSet<String> =
        model.modules().iter().map(|module| module.name.clone()).filter(|name| !taken.contains(name)).collect();
    let of = |name: &str| adapted.placed.iter().find(|placed| model.modules()[placed.module].name == name);
    let ranks = patterns::values(&taken, &BTreeSet::new(), r, |name| of(name).map_or(r, |placed| written(placed).0));
    let alphas = patterns::values(&taken, &BTreeSet::new(), lora_alpha, |name| {
        of(name).map_or(lora_alpha, |placed| written(placed).1)
    });
    let alphas: Map<String, Value> = alphas.into_iter().map(|(name, alpha)| (name, number(alpha))).collect();
    let transposed = adapted
        .placed
        .iter()
        .any(|placed| placed.transposed && model.modules()[placed.module].kind == ModuleKind::Linear);
    let saved = saved(model, adapted);
    let start = match spec.init_lora_weights {
        InitLoraWeights::Gaussian => json!("gaussian"),
        _ => json!(true),
    };
    let all = json!({
        "alora_invocation_tokens": null,
        "alpha_pattern": alphas,
        "arrow_config": null,
        "auto_mapping": null,
        "base_model_name_or_path": base,
        "bias": "none",
        "corda_config": null,
        "ensure_weight_tying": tied_table(model, adapted).is_some(),
        "eva_config": null,
        "exclude_modules": null,
        "fan_in_fan_out": transposed,
        "inference_mode": true,
        "init_lora_weights": start,
        "kasa_config": null,
        "layer_replication": null,
        "layers_pattern": null,
        "layers_to_transform": null,
        "loftq_config": {},
        "lora_alpha": number(lora_alpha),
        "lora_bias": false,
        "lora_dropout": spec.lora_dropout,
        "lora_ga_config": null,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "modules_to_save": if saved.is_empty() { Value::Null } else { json!(saved) },
        "monteclora_config": null,
        "peft_type": "LORA",
        "peft_version": PEFT_VERSION,
        "qalora_group_size": 16,
        "r": r,
        "rank_pattern": ranks,
        "revision": null,
        "target_modules": patterns::shortened(&taken, &others),
        "target_parameters": null,
        "task_type": settings::name_of(model.task().kind()),
        "trainable_token_indices": null,
        "use_bdlora": null,
        "use_dora": spec.method == AdapterMethod::Dora,
        "use_qalora": false,
        "use_rslora": spec.use_rslora,
        "velora_config": null,
    });
    match all {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The rank and alpha of what is written as twice the rank, so that what both are multiplied by is the same.
fn doubled(use_rslora: bool, r: usize, lora_alpha: f64) -> (usize, f64) {
    (2 * r, lora_alpha * if use_rslora { std::f64::consts::SQRT_2 } else { 2.0 })
}

/// A and B that are written otherwise than they are: `[A, A₀]` `[2 r, in]` and `[B, -B₀]` `[out, 2 r]`, by their indices.
///
/// # Errors
/// When a tensor operation fails.
pub(in crate::model) fn joined(model: &Model, adapted: &Adapted) -> Result<BTreeMap<usize, AnyTensor>, ModelError> {
    let matrix = |index: usize| -> Result<Tensor<2>, ModelError> {
        let parameter = model.parameters().at(index).ok_or_else(|| ModelError::request("an adapter without values"))?;
        Ok(parameter.value.typed()?)
    };
    let mut joined = BTreeMap::new();
    for placed in &adapted.placed {
        let Some([a, b]) = placed.start else { continue };
        joined.insert(placed.a, Tensor::cat(vec![matrix(placed.a)?, matrix(a)?], 0).into());
        joined.insert(placed.b, Tensor::cat(vec![matrix(placed.b)?, -matrix(b)?], 1).into());
    }
    Ok(joined)
}

/// Name, shape and values of every tensor of `adapter_model.safetensors`, those in `joined` as they are there.
pub(in crate::model) fn tensors<'a>(
    model: &'a Model,
    adapted: &Adapted,
    joined: &'a BTreeMap<usize, AnyTensor>,
) -> Vec<(String, Vec<usize>, Source<'a>)> {
    let own = adapted.placed.iter().flat_map(|placed| [Some(placed.a), Some(placed.b), placed.magnitude]).flatten();
    let own: BTreeSet<usize> = own.chain(kept_whole(model, adapted)).collect();
    let source = |name: &str, value: &'a AnyTensor| {
        (format!("{PREFIX}{name}"), value.shape(), Source::Tensor(value, StoredDtype::Float32))
    };
    let each = own.into_iter().filter_map(|index| Some((index, model.parameters().at(index)?)));
    let mut all: Vec<_> = each.map(|(index, p)| source(&p.name, joined.get(&index).unwrap_or(&p.value))).collect();
    if let Some((head, table)) = tied_table(model, adapted) {
        all.push(source(&format!("{head}.weight"), &table.value));
    }
    all
}

/// The head and the token table that it is, when that is trained whole: `peft` keeps one of each, tied.
fn tied_table<'a>(model: &'a Model, adapted: &Adapted) -> Option<(&'static str, &'a Parameter)> {
    let shape = &model.config().shape;
    let head = shape.language_head.filter(|head| head.tied && !model.task().kind().info().has_labels)?;
    let table =
        model.parameters().index_of(&format!("{}{}.weight", model.config().family.prefix, shape.embeddings.tokens))?;
    let table = Some(table).filter(|table| adapted.whole.contains(table))?;
    Some((head.name, model.parameters().at(table)?))
}

/// Parameters of every module that `peft` copies, which has to find all of them: those that are trained whole, and what else
/// ends like one of them (`pre_classifier`, for a `classifier`).
fn kept_whole(model: &Model, adapted: &Adapted) -> BTreeSet<usize> {
    let mut names = saved(model, adapted);
    if model.task().kind().info().has_labels {
        names.extend(HEADS.map(str::to_owned));
    }
    let taken = |parameter: &Parameter| {
        let mut dots = parameter.name.match_indices('.');
        dots.any(|(dot, _)| names.iter().any(|name| parameter.name[..dot].ends_with(name.as_str())))
    };
    let all = model.parameters().iter().enumerate().filter(|(_, p)| p.origin != Origin::Adapter && taken(p));
    all.map(|(index, _)| index).chain(adapted.whole.iter().copied()).collect()
}

/// `modules_to_save`: `peft` takes every module whose name ends so.
fn saved(model: &Model, adapted: &Adapted) -> Vec<String> {
    let module = |parameter: &Parameter| {
        parameter.name.rsplit_once('.').map_or_else(String::new, |(module, _)| module.to_owned())
    };
    let whole = |index: &usize| adapted.whole.contains(index);
    let others: BTreeSet<String> =
        model.parameters().iter().enumerate().filter(|(i, _)| !whole(i)).map(|(_, p)| module(p)).collect();
    let has_labels = model.task().kind().info().has_labels;
    let modules: BTreeSet<String> =
        adapted.whole.iter().filter_map(|index| model.parameters().at(*index)).map(module).collect();
    // One that lies within another is saved with it.
    let within = |name: &str, other: &str| name.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'));
    let outermost = modules.iter().filter(|name| !modules.iter().any(|other| within(name, other)));
    let names = outermost.map(|full| {
        let full = full.clone();
        let head = full.split('.').find(|part| HEADS.contains(part)).filter(|_| has_labels);
        let last = head.unwrap_or_else(|| full.rsplit('.').next().unwrap_or(&full));
        if head.is_none() && others.iter().any(|other| other.ends_with(last)) { full } else { last.to_owned() }
    });
    let names: BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

/// A whole number as one.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}
