//! Rows of a table.

use burn::tensor::{Int, Tensor};

use super::lora::wide;
use super::{kernels, lora};
use crate::model::Weights;
use crate::model::adapter::{Module, ModuleKind, Placed};
use crate::model::inventory::Inventory;

/// A table of vectors.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Embedding {
    table: usize,
    adapter: Option<Placed>,
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
        let table = inventory.table(format!("{name}.weight"), rows, width, padding);
        let (name, kind) = (name.to_owned(), ModuleKind::Table);
        let module = Module { name, kind, input: rows, output: width, transposed: true };
        Self { table, adapter: inventory.module(module, table) }
    }

    /// Index of the table among the parameters.
    pub(in crate::model) fn table(&self) -> usize {
        self.table
    }

    /// `ids`: `[tokens]`; gives `[tokens, width]`.
    pub(in crate::model) fn forward(&self, weights: &Weights, ids: Tensor<1, Int>) -> Tensor<2> {
        let rows = wide(kernels::lookup(weights.matrix(self.table), ids.clone()));
        match &self.adapter {
            Some(placed) => kernels::add(rows, lora::of_rows(placed, weights, ids)),
            None => rows,
        }
    }

    /// Whether the row of a token can learn anything.
    pub(in crate::model) fn learns(&self, weights: &Weights) -> bool {
        weights.learns(self.table) || self.adapter.is_some_and(|placed| weights.learns(placed.a))
    }

    /// The first `count` rows: `[count, width]`.
    pub(in crate::model) fn first(&self, weights: &Weights, count: usize) -> Tensor<2> {
        let rows = wide(weights.matrix(self.table).narrow(0, 0, count));
        match &self.adapter {
            Some(placed) => rows + lora::of_first(placed, weights, count),
            None => rows,
        }
    }
}
