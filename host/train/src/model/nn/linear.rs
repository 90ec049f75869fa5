//! `y = x Wᵀ + b`, with `W` as checkpoints have it: `[out, in]`, or `[in, out]` where a family stores it so.

use burn::tensor::Tensor;
use retune_tensor::{AnyTensor, Head, lazy_logits};

use super::{activate, kernels, lora};
use crate::model::adapter::{Module, ModuleKind, Placed};
use crate::model::dropout::Dropout;
use crate::model::inventory::Inventory;
use crate::model::shape::Activation;
use crate::model::{Layout, Weights};

/// A projection.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Linear {
    weight: usize,
    bias: Option<usize>,
    /// Stored `[in, out]`.
    transposed: bool,
    adapter: Option<Placed>,
}

impl Linear {
    /// `name.weight` `[out, in]` and, when asked for, `name.bias` `[out]`.
    pub(in crate::model) fn describe(
        inventory: &mut Inventory,
        name: &str,
        input: usize,
        out: usize,
        bias: bool,
    ) -> Self {
        let weight = inventory.matrix(format!("{name}.weight"), out, input);
        let bias = bias.then(|| inventory.bias(format!("{name}.bias"), out));
        Self::with_adapter(inventory, weight, bias, module(name, ModuleKind::Linear, [input, out], false))
    }

    /// The projection to a vocabulary, `name.weight` `[out, in]`.
    pub(in crate::model) fn describe_output(inventory: &mut Inventory, name: &str, input: usize, out: usize) -> Self {
        let weight = inventory.matrix(format!("{name}.weight"), out, input);
        Self::with_adapter(inventory, weight, None, module(name, ModuleKind::OutputHead, [input, out], false))
    }

    /// The same with `name.weight` `[in, out]`.
    pub(in crate::model) fn describe_transposed(
        inventory: &mut Inventory,
        name: &str,
        input: usize,
        out: usize,
        bias: bool,
    ) -> Self {
        let weight = inventory.transposed_matrix(format!("{name}.weight"), out, input);
        let bias = bias.then(|| inventory.bias(format!("{name}.bias"), out));
        Self::with_adapter(inventory, weight, bias, module(name, ModuleKind::Linear, [input, out], true))
    }

    /// The projection `name` to a vocabulary with another parameter's matrix: tied embeddings.
    pub(in crate::model) fn tied(
        inventory: &mut Inventory,
        name: &str,
        weight: usize,
        input: usize,
        out: usize,
    ) -> Self {
        Self::with_adapter(inventory, weight, None, module(name, ModuleKind::OutputHead, [input, out], false))
    }

    fn with_adapter(inventory: &mut Inventory, weight: usize, bias: Option<usize>, module: Module) -> Self {
        Self { weight, bias, transposed: module.transposed, adapter: inventory.module(module, weight) }
    }

    /// A projection with these parameters, `[out, in]` and `[out]`, beside which no adapter stands.
    pub(in crate::model) fn of(weight: usize, bias: Option<usize>) -> Self {
        Self { weight, bias, transposed: false, adapter: None }
    }

    /// `[out, in]`.
    fn matrix(&self, weights: &Weights) -> Tensor<2> {
        let matrix = weights.matrix(self.weight);
        if self.transposed { matrix.transpose() } else { matrix }
    }

    /// The result as `[sequences, longest, out]`, not computed yet: logits over a vocabulary, bent by `soft_cap` where there
    /// is one, zero on padding. `x`: `[tokens, in]`. An adapter makes both wider by its rank: `[x, s x Aᵀ]` and `[W, B]`, so that
    /// logits stay unmade. Price: a copy of the matrix, and in the backward pass a gradient as large.
    pub(in crate::model) fn lazy(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        layout: &Layout,
        soft_cap: Option<f64>,
        dropout: &Dropout,
    ) -> AnyTensor {
        let (hidden, weight) = match &self.adapter {
            Some(placed) => lora::widened(placed, weights, self.matrix(weights), x, dropout),
            None => (x, self.matrix(weights)),
        };
        let head = Head {
            hidden: hidden.into(),
            weight: weight.into(),
            bias: self.bias.map(|bias| weights.vector(bias).into()),
            soft_cap,
        };
        let rows = (!layout.is_even()).then(|| {
            let tokens: Vec<Option<u32>> = (0..layout.tokens() as u32).map(Some).collect();
            layout.pad_values(&tokens, None)
        });
        lazy_logits(head, &[layout.len(), layout.longest()], rows)
            .unwrap_or_else(|error| unreachable!("described shapes: {error}"))
    }

    /// `x`: `[rows, in]`; gives `[rows, out]`. `dropout` is that of an adapter's input; a projection without one drops nothing.
    pub(in crate::model) fn forward(&self, weights: &Weights, x: Tensor<2>, dropout: &Dropout) -> Tensor<2> {
        let weight = self.matrix(weights);
        if let Some(placed) = &self.adapter {
            let bias = self.bias.map(|bias| weights.vector(bias));
            return lora::forward(placed, weights, (weight, bias), x, dropout);
        }
        match self.bias {
            Some(bias) => kernels::project_bias(x, weight, weights.vector(bias)),
            None => kernels::project(x, weight),
        }
    }

    /// `activation` of the result.
    pub(in crate::model) fn activated(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        activation: Activation,
        dropout: &Dropout,
    ) -> Tensor<2> {
        match self.bias {
            Some(bias) if self.adapter.is_none() => {
                kernels::project_activate(x, self.matrix(weights), weights.vector(bias), activation)
            }
            _ => activate(activation, self.forward(weights, x, dropout)),
        }
    }

    /// `silu` of the result of `gate`, times that of `up`.
    pub(in crate::model) fn gated(
        gate: &Self,
        up: &Self,
        weights: &Weights,
        x: Tensor<2>,
        dropout: &Dropout,
    ) -> Tensor<2> {
        if [gate, up].iter().all(|part| part.bias.is_none() && part.adapter.is_none()) {
            return kernels::project_gated(x, gate.matrix(weights), up.matrix(weights));
        }
        kernels::swiglu(gate.forward(weights, x.clone(), dropout), up.forward(weights, x, dropout))
    }

    /// Several projections that are stored as one: its result in parts of so many columns. `x`: `[rows, in]`. Price: in the
    /// backward pass the gradients of the parts are each padded to the whole, and added.
    pub(in crate::model) fn split<const N: usize>(
        &self,
        weights: &Weights,
        x: Tensor<2>,
        parts: [usize; N],
        dropout: &Dropout,
    ) -> [Tensor<2>; N] {
        let all = self.forward(weights, x, dropout);
        let mut start = 0;
        parts.map(|width| {
            let part = all.clone().narrow(1, start, width);
            start += width;
            part
        })
    }
}

fn module(name: &str, kind: ModuleKind, [input, output]: [usize; 2], transposed: bool) -> Module {
    Module { name: name.to_owned(), kind, input, output, transposed }
}
