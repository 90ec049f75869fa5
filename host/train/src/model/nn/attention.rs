//! Scaled dot-product attention with several heads (Vaswani et al. 2017) and
//! grouped queries (Ainslie et al. 2023).

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::kernels::{self, Pattern, Spans};
use super::{Linear, Rope};
use crate::model::dropout::{Dropout, Site};
use crate::model::inventory::Inventory;
use crate::model::{Layout, Weights};

/// The tokens of each document of a batch: attention does not leave them.
#[derive(Clone, Debug)]
pub(in crate::model) struct Documents(Arc<[Range<usize>]>);

impl Documents {
    /// Those of a layout.
    pub(in crate::model) fn of(layout: &Layout) -> Self {
        Self(layout.spans().collect())
    }
}

/// Number and width of the heads.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Heads {
    /// Query heads.
    pub(in crate::model) queries: usize,
    /// Key and value heads; divides `queries`.
    pub(in crate::model) keys: usize,
    /// Width of one head.
    pub(in crate::model) width: usize,
    /// Dropout of the probabilities.
    pub(in crate::model) dropout: f64,
    /// Which keys a query sees.
    pub(in crate::model) pattern: Pattern,
    /// What scores are multiplied by: one over the root of `width` (Vaswani et al. 2017), as a rule.
    pub(in crate::model) scale: f32,
    /// Bound of the scaled scores, where there is one: `cap tanh(score / cap)` (Gemma 2).
    pub(in crate::model) soft_cap: Option<f32>,
}

/// The three projections in; the one out stays with the block.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    heads: Heads,
}

impl Attention {
    /// `names` are those of the query, key and value projections.
    pub(in crate::model) fn describe(
        inventory: &mut Inventory,
        names: [&str; 3],
        hidden: usize,
        heads: Heads,
        bias: bool,
    ) -> Self {
        let [query, key, value] = names;
        Self {
            query: Linear::describe(inventory, query, hidden, heads.queries * heads.width, bias),
            key: Linear::describe(inventory, key, hidden, heads.keys * heads.width, bias),
            value: Linear::describe(inventory, value, hidden, heads.keys * heads.width, bias),
            heads,
        }
    }

    /// `x`: `[tokens, hidden]`; gives the heads side by side,
    /// `[tokens, queries * width]`.
    pub(in crate::model) fn forward(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        documents: &Documents,
        rope: Option<&Rope>,
        dropout: &Dropout,
        site: Site,
    ) -> Tensor<2> {
        let Heads { queries, keys, pattern, scale, soft_cap, .. } = self.heads;
        let turned = |y: Tensor<2>, heads: usize| match rope {
            Some(rope) => rope.turn(y, heads),
            None => y,
        };
        let q = turned(self.query.forward(weights, x.clone()), queries);
        let k = turned(self.key.forward(weights, x.clone()), keys);
        let v = self.value.forward(weights, x);
        let spans = Spans {
            spans: documents.0.clone(),
            heads: queries,
            kv_heads: keys,
            pattern,
            scale,
            soft_cap,
            dropout: dropout.attention(self.heads.dropout, site),
        };
        kernels::attention(q, k, v, spans)
    }
}
