//! Scaled dot-product attention with several heads (Vaswani et al. 2017) and
//! grouped queries (Ainslie et al. 2023).

use burn::tensor::{Tensor, TensorData};
use retune_tensor::Device;

use super::{Linear, Rope, kernels};
use crate::model::Weights;
use crate::model::dropout::{Dropout, Site};
use crate::model::inventory::Inventory;

/// What is added where a query may not look. Finite, so that no row of scores is
/// all infinities; far below any score, so that its exponential is zero.
const HIDDEN: f32 = -1e9;

/// Which keys a query sees, as something to add to its scores.
#[derive(Clone, Debug)]
pub(in crate::model) struct Mask(Tensor<4>);

impl Mask {
    /// Every query sees the tokens of its row, not the padding: `[batch, 1, 1, seq]`.
    pub(in crate::model) fn padding(lengths: &[usize], seq: usize, device: &Device) -> Self {
        let row = |length: usize| (0..seq).map(move |key| if key < length { 0.0 } else { HIDDEN });
        let values: Vec<f32> = lengths.iter().flat_map(|length| row(*length)).collect();
        Self(Tensor::from_data(TensorData::new(values, [lengths.len(), 1, 1, seq]), device))
    }

    /// A query sees itself and what is before: `[1, 1, seq, seq]`. Padding on the
    /// right is after every token, so no token sees it.
    pub(in crate::model) fn causal(seq: usize, device: &Device) -> Self {
        let values: Vec<f32> = (0..seq * seq).map(|i| if i % seq <= i / seq { 0.0 } else { HIDDEN }).collect();
        Self(Tensor::from_data(TensorData::new(values, [1, 1, seq, seq]), device))
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
    #[allow(clippy::too_many_arguments, reason = "the batch's shape, mask, positions and chance")]
    pub(in crate::model) fn forward(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        batch: usize,
        mask: &Mask,
        rope: Option<&Rope>,
        dropout: &Dropout,
        site: Site,
    ) -> Tensor<2> {
        let Heads { queries, keys, width, .. } = self.heads;
        let seq = x.dims()[0] / batch;
        let split = |y: Tensor<2>, heads: usize| y.reshape([batch, seq, heads, width]);
        let turned = |y: Tensor<4>| rope.map_or(y.clone(), |rope| rope.turn(y));

        let q = turned(split(self.query.forward(weights, x.clone()), queries)).swap_dims(1, 2);
        let k = turned(split(self.key.forward(weights, x.clone()), keys)).swap_dims(1, 2);
        let v = split(self.value.forward(weights, x), keys).swap_dims(1, 2);

        let scores = q.matmul(self.shared(k).swap_dims(2, 3));
        let probabilities = kernels::attention_softmax(scores, mask.0.clone(), 1.0 / (width as f32).sqrt());
        let probabilities = dropout.attention(probabilities, self.heads.dropout, site);
        probabilities.matmul(self.shared(v)).swap_dims(1, 2).reshape([batch * seq, queries * width])
    }

    /// Each key head once for every query head of its group.
    fn shared(&self, x: Tensor<4>) -> Tensor<4> {
        let Heads { queries, keys, width, .. } = self.heads;
        if queries == keys {
            return x;
        }
        let [batch, _, seq, _] = x.dims();
        let group = queries / keys;
        x.unsqueeze_dim::<5>(2).expand([batch, keys, group, seq, width]).reshape([batch, queries, seq, width])
    }
}
