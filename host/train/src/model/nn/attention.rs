//! Scaled dot-product attention with several heads (Vaswani et al. 2017) and
//! grouped queries (Ainslie et al. 2023).

use burn::tensor::Tensor;

use super::kernels::{self, Documents, Pattern, Spans};
use super::{Linear, Norm, Rope};
use crate::model::Weights;
use crate::model::dropout::Dropout;
use crate::model::inventory::Inventory;
use crate::model::mask::Site;
use crate::model::shape::{AttentionShape, NormShape};

/// Three projections in and one out, with what is between.
#[derive(Clone, Debug)]
pub(in crate::model) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Of each query head and of each key head.
    head_norms: Option<[Norm; 2]>,
    queries: usize,
    keys: usize,
    width: usize,
    pattern: Pattern,
    dropout: f64,
}

impl Attention {
    /// The projections of block number `index`, which is called `block`, with `hidden` features in and out.
    pub(in crate::model) fn describe(
        inventory: &mut Inventory,
        (block, index): (&str, usize),
        hidden: usize,
        shape: &AttentionShape,
        norm: NormShape,
    ) -> Self {
        let (queries, keys, width) = (shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim);
        let mut linear = |name: &str, input, output, bias| {
            Linear::describe(inventory, &format!("{block}.{name}"), input, output, bias)
        };
        let [query, key, value] = shape.projections;
        let window = shape.windows.get(index).copied().flatten();
        Self {
            query: linear(query, hidden, queries * width, shape.bias),
            key: linear(key, hidden, keys * width, shape.bias),
            value: linear(value, hidden, keys * width, shape.bias),
            output: linear(shape.output, queries * width, hidden, shape.output_bias),
            head_norms: shape
                .head_norms
                .map(|names| names.map(|name| Norm::describe(inventory, &format!("{block}.{name}"), width, norm))),
            queries,
            keys,
            width,
            pattern: match (shape.causal, window) {
                (true, None) => Pattern::CAUSAL,
                (true, Some(window)) => Pattern::window(window.saturating_sub(1), 0),
                (false, None) => Pattern::FULL,
                (false, Some(window)) => Pattern::window(window.saturating_sub(1), window.saturating_sub(1)),
            },
            dropout: shape.dropout,
        }
    }

    /// `x`: `[tokens, hidden]`; gives the same.
    pub(in crate::model) fn forward(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        documents: &Documents,
        rope: Option<&Rope>,
        dropout: &Dropout,
        site: Site,
    ) -> Tensor<2> {
        let q = self.query.forward(weights, x.clone());
        let k = self.key.forward(weights, x.clone());
        let v = self.value.forward(weights, x);
        let (q, k) = match &self.head_norms {
            Some([query, key]) => (self.norm_heads(weights, query, q), self.norm_heads(weights, key, k)),
            None => (q, k),
        };
        let (q, k) = match rope {
            Some(rope) => (rope.turn(q), rope.turn(k)),
            None => (q, k),
        };
        let spans = Spans {
            spans: documents.clone(),
            heads: self.queries,
            kv_heads: self.keys,
            pattern: self.pattern,
            scale: 1.0 / (self.width as f32).sqrt(),
            soft_cap: None,
            dropout: dropout.attention(self.dropout, site),
        };
        self.output.forward(weights, kernels::attention(q, k, v, spans))
    }

    /// `x`: `[tokens, heads * width]`, each head normed by itself.
    fn norm_heads(&self, weights: &Weights, norm: &Norm, x: Tensor<2>) -> Tensor<2> {
        let [tokens, all] = x.dims();
        let heads = x.reshape([tokens * all / self.width, self.width]);
        norm.forward(weights, heads).reshape([tokens, all])
    }
}
