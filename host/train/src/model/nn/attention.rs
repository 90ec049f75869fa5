//! Scaled dot-product attention with several heads (Vaswani et al. 2017) and
//! grouped queries (Ainslie et al. 2023).

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::kernels::{self, Pattern, Spans};
use super::{Linear, Rope};
use crate::model::Weights;
use crate::model::dropout::{Dropout, Site};
use crate::model::inventory::Inventory;

/// The tokens of each document of a batch: attention does not leave them.
#[derive(Clone, Debug)]
pub(in crate::model) struct Documents(Arc<[Range<usize>]>);

impl Documents {
    /// Rows of these lengths, each in `seq` places: what is behind a row is seen by nobody.
    pub(in crate::model) fn padded(lengths: &[usize], seq: usize) -> Self {
        Self(lengths.iter().enumerate().map(|(row, length)| row * seq..row * seq + length).collect())
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

    /// `x`: `[batch * seq, hidden]`; gives the heads side by side,
    /// `[batch * seq, queries * width]`.
    #[allow(clippy::too_many_arguments, reason = "the batch's documents, positions and chance")]
    pub(in crate::model) fn forward(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        batch: usize,
        documents: &Documents,
        rope: Option<&Rope>,
        dropout: &Dropout,
        site: Site,
    ) -> Tensor<2> {
        let Heads { queries, keys, width, pattern, scale, soft_cap, .. } = self.heads;
        let tokens = x.dims()[0];
        let turned = |y: Tensor<2>, heads: usize| match rope {
            Some(rope) => rope.turn(y.reshape([batch, tokens / batch, heads, width])).reshape([tokens, heads * width]),
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
