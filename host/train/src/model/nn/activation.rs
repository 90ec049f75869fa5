//! The non-linearities of feed-forward blocks.

use burn::tensor::{Tensor, activation};

use super::kernels;
use crate::model::shape::Activation;

/// Element by element.
pub(in crate::model) fn activate(kind: Activation, x: Tensor<2>) -> Tensor<2> {
    match kind {
        Activation::Gelu => kernels::gelu(x),
        Activation::GeluTanh => activation::gelu_approximate(x),
        Activation::Relu => activation::relu(x),
        Activation::Silu => activation::silu(x),
    }
}
