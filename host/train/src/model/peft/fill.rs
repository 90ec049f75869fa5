//! The values of an adapter, put into a model that was made for it.
//!
//! Every tensor has to find its place and its shape, and every place its tensor. Price: of `base_layer` weights, which `peft`
//! stores with adapted tables, only that they are the base's is used.

use std::collections::BTreeSet;

use retune_tensor::from_float32;

use super::{ADAPTER_WEIGHTS, PREFIX, PeftDirectory};
use crate::files::tensor_file::{Place, float32, stored};
use crate::model::pattern::nearest_names;
use crate::model::{LoadReport, Model, ModelConfig, ModelError, Origin};

/// How far a stored base layer may be from the base, relative to it: a base that was loaded in half precision.
const HALF: f32 = 1.0 / 128.0;

impl PeftDirectory {
    /// Puts the adapter into a model that was made for it, and takes what it brings along out of the list of new parameters.
    /// A head that is for other labels than the model's stays new, and is reported as replaced.
    ///
    /// # Errors
    /// Names the tensor that the model has no place for, with the nearest names, that is missing, or has another shape.
    pub fn fill(&self, model: &mut Model, report: &mut LoadReport) -> Result<(), ModelError> {
        let file = self.path.join(ADAPTER_WEIGHTS);
        let tied =
            model.config().shape.language_head.filter(|head| head.tied).map(|head| format!("{}.weight", head.name));
        let foreign = self.head_of_others(model);
        let mut filled = BTreeSet::new();
        for (name, place) in self.tensors.iter().filter(|(name, _)| Some(*name) != tied.as_ref()) {
            let Some(index) = index_of(model, name) else { return Err(self.no_place(model, name)) };
            filled.insert(index);
            let Some(parameter) = model.parameters().at(index) else { continue };
            if let Some(reason) = foreign.as_ref().filter(|_| is_head(model, &parameter.name)) {
                report.new.retain(|new| *new != parameter.name);
                report.replaced.retain(|(replaced, _)| *replaced != parameter.name);
                report.replaced.push((parameter.name.clone(), reason.clone()));
                continue;
            }
            let shape = parameter.shape().to_vec();
            if place.info.shape != shape {
                return Err(ModelError::file(
                    &file,
                    format!(
                        "tensor `{PREFIX}{name}` has shape {:?}, but this base takes {shape:?}; the adapter was trained for another base",
                        place.info.shape
                    ),
                ));
            }
            let new = parameter.name.clone();
            let values = self.finite(name, place)?;
            let value = from_float32(values, &shape, model.device())?;
            model.parameters_mut().set_value(index, value)?;
            let before = report.new.len() + report.replaced.len();
            report.new.retain(|known| *known != new);
            report.replaced.retain(|(known, _)| *known != new);
            report.loaded += before - report.new.len() - report.replaced.len();
        }
        self.nothing_is_missing(model, &filled)?;
        self.copies_are_the_base(model)
    }

    /// Every value of an adapter, and of a module that the base lacks.
    fn nothing_is_missing(&self, model: &Model, filled: &BTreeSet<usize>) -> Result<(), ModelError> {
        for (index, parameter) in model.parameters().iter().enumerate() {
            if parameter.origin == Origin::Adapter && !filled.contains(&index) {
                return Err(ModelError::MissingTensor {
                    path: self.path.join(ADAPTER_WEIGHTS),
                    tensor: format!("{PREFIX}{}", parameter.name),
                    expected: parameter.shape().to_vec(),
                    nearest: nearest_names(&parameter.name, &self.names())
                        .first()
                        .map(|name| format!("{PREFIX}{name}")),
                });
            }
        }
        Ok(())
    }

    /// `peft` stores the base's table beside an adapter of it, in case it was resized.
    fn copies_are_the_base(&self, model: &Model) -> Result<(), ModelError> {
        let tied = model.config().shape.language_head.filter(|head| head.tied);
        for (name, place) in &self.copies {
            let table = || format!("{}{}.weight", model.config().family.prefix, model.config().shape.embeddings.tokens);
            let of =
                tied.filter(|head| *name == format!("{}.weight", head.name)).map_or_else(|| name.clone(), |_| table());
            let Some(index) = index_of(model, &of) else { return Err(self.no_place(model, name)) };
            let Some(parameter) = model.parameters().at(index) else { continue };
            let same = place.info.shape == parameter.shape() && {
                let base = parameter.value.to_float32()?;
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= HALF * b.abs() + f32::EPSILON;
                self.finite(name, place)?.iter().zip(&base).all(close)
            };
            if !same {
                return Err(ModelError::file(
                    &self.path.join(ADAPTER_WEIGHTS),
                    format!(
                        "it brings a `{name}` of its own, shape {:?}, and the base has another, shape {:?}: the base was changed or \
                         its vocabulary resized before the adapter was trained; take that base",
                        place.info.shape,
                        parameter.shape()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn finite(&self, name: &str, place: &Place) -> Result<Vec<f32>, ModelError> {
        let values = float32(&place.read()?, stored(place, name)?);
        match values.iter().position(|x| !x.is_finite()) {
            None => Ok(values),
            Some(first) => Err(ModelError::file(
                &place.file,
                format!(
                    "tensor `{PREFIX}{name}` is not finite: value {first} is {}; take another copy of the adapter",
                    values[first]
                ),
            )),
        }
    }

    /// Why the head that the adapter brings along is not for the labels of `model`.
    fn head_of_others(&self, model: &Model) -> Option<String> {
        let labels = model.task().labels();
        let classes = self.classes(model.config()).filter(|_| !labels.is_empty())?;
        if classes != labels.len() {
            return Some(format!("the adapter's head has {classes} classes, the task {}", labels.len()));
        }
        let known = ModelConfig::read(&self.model_config()?).ok()?.labels?;
        (known != labels).then(|| "the adapter's head is for other labels, or the same in another order".to_owned())
    }

    fn no_place(&self, model: &Model, name: &str) -> ModelError {
        let names: Vec<&str> = model.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        let near: Vec<String> = nearest_names(name, &names).iter().map(|name| format!("`{name}`")).collect();
        let near = if near.is_empty() { String::new() } else { format!("; the nearest names are {}", near.join(", ")) };
        ModelError::file(
            &self.path.join(ADAPTER_WEIGHTS),
            format!(
                "tensor `{PREFIX}{name}` has no place in this base{near}; the adapter was trained for another base"
            ),
        )
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }
}

/// A parameter by its name, or by that in the base model alone.
fn index_of(model: &Model, name: &str) -> Option<usize> {
    let parameters = model.parameters();
    parameters.index_of(name).or_else(|| parameters.index_of(&format!("{}{name}", model.config().family.prefix)))
}

fn is_head(model: &Model, name: &str) -> bool {
    name.strip_prefix(model.config().shape.classifier.name).is_some_and(|rest| rest.starts_with('.'))
}
