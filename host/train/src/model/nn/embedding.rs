//! Rows of a table.

use burn::tensor::{DType, FloatDType, Int, Tensor};

use super::kernels;
use crate::model::Weights;
use crate::model::inventory::Inventory;

/// A table of vectors.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Embedding {
    table: usize,
}

impl Embedding {
    /// `name.weight` `[rows, width]`; a new table has zeros in the padding row.
    pub(in crate::model) fn describe(
        inventory: &mut Inventory,
        name: &str,
        rows: usize,
        width: usize,
        padding: Option<u32>,
    ) -> Self {
        Self { table: inventory.table(format!("{name}.weight"), rows, width, padding) }
    }

    /// Index of the table among the parameters.
    pub(in crate::model) fn table(&self) -> usize {
        self.table
    }

    /// `ids`: `[tokens]`; gives `[tokens, width]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, ids: Tensor<1, Int>) -> Tensor<2> {
        wide(kernels::lookup(weights.matrix(self.table), ids))
    }

    /// The first `count` rows: `[count, width]`.
    pub(in crate::model) fn first(&self, weights: &Weights, count: usize) -> Tensor<2> {
        wide(weights.matrix(self.table).narrow(0, 0, count))
    }
}

/// Rows of a table that is kept in bfloat16, in float32.
fn wide(rows: Tensor<2>) -> Tensor<2> {
    if rows.dtype() == DType::BF16 { rows.cast(FloatDType::F32) } else { rows }
}
