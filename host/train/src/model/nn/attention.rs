//! Scaled dot-product attention with several heads (Vaswani et al. 2017) and
//! grouped queries (Ainslie et al. 2023).

use burn::tensor::Tensor;

use super::kernels::{self, Documents, Dropped, Pattern, Spans, Stored};
use super::{Linear, Norm, Rope};
use crate::model::Weights;
use crate::model::dropout::Dropout;
use crate::model::inventory::Inventory;
use crate::model::mask::Site;
use crate::model::shape::{Projections, QueryKeyNorms, Shape};

/// Three projections in and one out, with what is between.
#[derive(Clone, Debug)]
pub(in crate::model) struct Attention {
    projections: Inward,
    output: Linear,
    /// Of queries and of keys, over so many components each.
    norms: Option<([Norm; 2], [usize; 2])>,
    queries: usize,
    keys: usize,
    width: usize,
    pattern: Pattern,
    scale: f32,
    soft_cap: Option<f32>,
    dropout: f64,
}

/// To queries, keys and values.
#[derive(Clone, Debug)]
enum Inward {
    Apart(Box<[Linear; 3]>),
    Fused(Linear),
}

impl Attention {
    /// What block number `index`, which is called `block`, has of it.
    pub(in crate::model) fn describe(
        inventory: &mut Inventory,
        (block, index): (&str, usize),
        Shape { hidden_size: hidden, norm, transposed, attention: shape, .. }: &Shape,
    ) -> Self {
        let (queries, keys, width) = (shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim);
        let (hidden, [query, key]) = (*hidden, [queries, keys].map(|heads| heads * width));
        let describe = if *transposed { Linear::describe_transposed } else { Linear::describe };
        let mut linear =
            |name: &str, input, output, bias| describe(inventory, &format!("{block}.{name}"), input, output, bias);
        let projections = match shape.projections {
            Projections::Apart([q, k, v]) => {
                let parts = [(q, query), (k, key), (v, key)];
                Inward::Apart(Box::new(parts.map(|(name, out)| linear(name, hidden, out, shape.bias))))
            }
            Projections::Fused(name) => Inward::Fused(linear(name, hidden, query + 2 * key, shape.bias)),
        };
        let output = linear(shape.output, query, hidden, shape.output_bias);
        let mut norms = |names: [&str; 2], widths: [usize; 2]| {
            let each = |i: usize| (format!("{block}.{}", names[i]), widths[i]);
            ([0, 1].map(each).map(|(name, width)| Norm::describe(inventory, &name, width, *norm)), widths)
        };
        let window = shape.windows.get(index).copied().flatten();
        let scale = shape.scale.map_or(1.0 / (width as f32).sqrt(), |scale| scale as f32);
        Self {
            projections,
            output,
            norms: shape.query_key_norms.map(|kind| match kind {
                QueryKeyNorms::Heads(names) => norms(names, [width; 2]),
                QueryKeyNorms::Together(names) => norms(names, [query, key]),
            }),
            queries,
            keys,
            width,
            pattern: match (shape.causal, window) {
                (true, None) => Pattern::CAUSAL,
                (true, Some(window)) => Pattern::window(window.saturating_sub(1), 0),
                (false, None) => Pattern::FULL,
                (false, Some(window)) => Pattern::window(window.saturating_sub(1), window.saturating_sub(1)),
            },
            scale: if shape.scale_by_depth { scale / (index + 1) as f32 } else { scale },
            soft_cap: shape.soft_cap.map(|cap| cap as f32),
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
        let [q, k, v] = self.inward(weights, x, rope, dropout);
        let spans = self.spans(documents, dropout.attention(self.dropout, site));
        self.output.forward(weights, kernels::attention(q, k, v, spans), dropout)
    }

    /// The same for tokens that follow those whose keys and values are stored, of each document its own; `dropout` drops nothing.
    pub(in crate::model) fn extend(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        documents: &Documents,
        rope: Option<&Rope>,
        stored: &mut [&mut Stored],
        dropout: &Dropout,
    ) -> Tensor<2> {
        let [q, k, v] = self.inward(weights, x, rope, dropout);
        let attended = kernels::attention_to_stored(q, k, v, self.spans(documents, None), stored);
        self.output.forward(weights, attended, dropout)
    }

    /// Queries, keys and values of `x`, `[tokens, heads * width]`, normed and turned.
    fn inward(&self, weights: &Weights, x: Tensor<2>, rope: Option<&Rope>, dropout: &Dropout) -> [Tensor<2>; 3] {
        let [q, k, v] = match &self.projections {
            Inward::Apart(parts) => {
                let [query, key, value] = &**parts;
                let q = query.forward(weights, x.clone(), dropout);
                let k = key.forward(weights, x.clone(), dropout);
                [q, k, value.forward(weights, x, dropout)]
            }
            Inward::Fused(all) => {
                let [query, key] = [self.queries, self.keys].map(|heads| heads * self.width);
                all.split(weights, x, [query, key, key], dropout)
            }
        };
        let (q, k) = match &self.norms {
            Some(([query, key], [wide, narrow])) => {
                (normed(weights, query, q, *wide), normed(weights, key, k, *narrow))
            }
            None => (q, k),
        };
        match rope {
            Some(rope) => [rope.turn(q), rope.turn(k), v],
            None => [q, k, v],
        }
    }

    fn spans(&self, documents: &Documents, dropout: Option<Dropped>) -> Spans {
        Spans {
            spans: documents.clone(),
            heads: self.queries,
            kv_heads: self.keys,
            pattern: self.pattern,
            scale: self.scale,
            soft_cap: self.soft_cap,
            dropout,
        }
    }
}

/// `x`: `[tokens, features]`, each `width` of them normed by themselves.
fn normed(weights: &Weights, norm: &Norm, x: Tensor<2>, width: usize) -> Tensor<2> {
    let [tokens, all] = x.dims();
    let parts = x.reshape([tokens * all / width, width]);
    norm.forward(weights, parts).reshape([tokens, all])
}
