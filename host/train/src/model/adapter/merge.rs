//! An adapter's part of a matrix, and the matrix with it.
//!
//! `W + s B A` (less what `s B A` was at the start, where that is taken off the base), and for DoRA each row of it times its
//! magnitude over its length: what the forward pass computes, as one matrix. Sums are float32, so that merged and unmerged
//! logits differ by rounding alone. Price: a copy of every matrix that has an adapter, all at once.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use retune_tensor::AnyTensor;

use super::{ModuleKind, Placed};
use crate::model::nn::{change, row_norms, wide};
use crate::model::{Model, ModelError, Origin, Parameters, StoredDtype, Task};

/// A tensor as it is written for those who know nothing of adapters.
pub(in crate::model) struct Exported {
    pub(in crate::model) name: String,
    pub(in crate::model) value: AnyTensor,
    /// The format it had; it goes back there when that loses nothing.
    pub(in crate::model) stored: StoredDtype,
}

impl Model {
    /// Every parameter but those of adapters, with these merged.
    pub(in crate::model) fn exported(&self) -> Result<Vec<Exported>, ModelError> {
        let parameters = self.parameters();
        let placed = |weight: usize, head: bool| {
            let is_head = |placed: &&Placed| self.modules()[placed.module].kind == ModuleKind::OutputHead;
            let all = self.adapter().into_iter().flat_map(|adapter| &adapter.placed);
            all.filter(|placed| placed.weight == weight).find(|placed| is_head(placed) == head)
        };
        let tied = self.tied_head();
        let mut exported = Vec::with_capacity(parameters.len());
        for (index, parameter) in parameters.iter().enumerate().filter(|(_, p)| p.origin != Origin::Adapter) {
            let value = |placed: Option<&Placed>| match placed {
                Some(placed) => merged(parameters, placed),
                None => Ok(parameter.value.clone()),
            };
            let head = tied.filter(|(_, table)| *table == index).map(|(name, _)| name);
            let own = placed(index, false).or_else(|| placed(index, true).filter(|_| head.is_none()));
            let stored = parameter.stored_dtype();
            exported.push(Exported { name: parameter.name.clone(), value: value(own)?, stored });
            if let Some(name) = head.filter(|_| self.parts_head()) {
                exported.push(Exported { name: format!("{name}.weight"), value: value(placed(index, true))?, stored });
            }
        }
        Ok(exported)
    }

    /// Whether the head of a language model, which is the token table, is another matrix once adapters are merged.
    pub(in crate::model) fn parts_head(&self) -> bool {
        let Some((_, table)) = self.tied_head() else { return false };
        self.adapter().is_some_and(|adapter| adapter.placed.iter().any(|placed| placed.weight == table))
    }

    /// Name and matrix of a head that is the token table.
    fn tied_head(&self) -> Option<(&'static str, usize)> {
        let head = self.config.shape.language_head.filter(|head| head.tied && self.task == Task::CausalLm)?;
        let table = format!("{}{}.weight", self.config.family.prefix, self.config.shape.embeddings.tokens);
        Some((head.name, self.parameters().index_of(&table)?))
    }
}

/// The matrix that `placed` adapts, in the shape it is stored in, as it would be merged.
///
/// # Errors
/// When a tensor operation fails.
pub(in crate::model) fn merged(parameters: &Parameters, placed: &Placed) -> Result<AnyTensor, ModelError> {
    let matrix = |index: usize| -> Result<Tensor<2>, ModelError> {
        let parameter = parameters.at(index).ok_or_else(|| ModelError::request("an adapter without parameters"))?;
        Ok(wide(parameter.value.typed()?))
    };
    let turned = |x: Tensor<2>| if placed.transposed { x.transpose() } else { x };
    let weight = turned(matrix(placed.weight)?);
    let mut parts = BTreeMap::new();
    for index in [placed.a, placed.b].into_iter().chain(placed.start.into_iter().flatten()) {
        parts.insert(index, matrix(index)?);
    }
    let change = change(placed, |index| parts[&index].clone());
    let sum = weight.clone() + change.clone();
    let merged = match placed.magnitude.and_then(|index| parameters.at(index)) {
        Some(magnitude) => {
            let magnitude: Tensor<1> = magnitude.value.typed()?;
            let lengths = row_norms(weight, Some(change));
            sum * (magnitude / lengths).unsqueeze_dim::<2>(1)
        }
        None => sum,
    };
    Ok(turned(merged).into())
}
