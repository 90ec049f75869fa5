//! A part of the network that keeps what it reads and nothing else (Chen et al. 2016, gradient checkpointing).
//!
//! Forward it runs without recording. In the backward pass it runs again, from the same states and with the same dropout,
//! which is a function of row, site and position; then it is differentiated. On the CPU the gradients are those of a part that
//! kept everything, to the bit. Price: each such part runs forward twice.

use burn::tensor::Tensor;
use retune_tensor::AnyTensor;

use super::Weights;
use super::segments::{Chain, Parts};

/// Runs `part` on `x`, `[tokens, hidden]`, as a segment of `chain`. Where neither `x` nor a parameter that the part reads
/// learns, there is nothing to go back for, and the result is a constant.
pub(super) fn recomputed<F>(weights: &Weights, chain: &mut Chain, x: Tensor<2>, part: F) -> Tensor<2>
where
    F: Fn(&Weights, Tensor<2>) -> Tensor<2> + Send + Sync + 'static,
{
    let below = AnyTensor::from(x.clone()).is_tracked();
    let x = x.without_autodiff();
    let constants = weights.constants();
    let output = part(&constants, x.clone());
    if !below && !constants.has_read(|index| weights.learns(index)) {
        return output;
    }
    let values = weights.values();
    let back = move |grad: Tensor<2>| {
        let weights = values.view();
        let x = if below { x.autodiff().require_grad() } else { x };
        let product = part(&weights, x.clone()) * grad;
        let sum = product.sum();
        let mut gradients = sum.backward();
        Parts {
            weights: weights.gradients(&mut gradients).collect(),
            input: if below { x.grad_remove(&mut gradients) } else { None },
        }
    };
    chain.push(output, Box::new(back))
}
