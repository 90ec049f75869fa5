//! One forward pass's view of the parameters.
//!
//! Trainable parameters become leaves of the autodiff graph. Frozen ones stay
//! outside it: an operation on constants alone records nothing, so nothing below
//! the lowest trainable layer is kept in memory or visited by the backward pass.
//! A view is good for one `backward`; making one costs a handle a parameter.

use burn::tensor::{Float, Tensor};
use retune_tensor::AnyTensor;
use retune_tensor::device::is_host;

use super::{ModelError, Parameters};

#[derive(Clone, Debug)]
enum Leaf {
    Vector(Tensor<1>),
    Matrix(Tensor<2>),
}

impl Leaf {
    /// Every parameter is a vector or a matrix of floats: `Parameters` checks it.
    fn new(value: &AnyTensor, tracked: bool) -> Self {
        if value.shape().len() == 1 {
            let tensor: Tensor<1> = value.typed().unwrap_or_else(|e| unreachable!("a vector: {e}"));
            Self::Vector(if tracked { tensor.autodiff().require_grad() } else { tensor })
        } else {
            let tensor: Tensor<2> = value.typed().unwrap_or_else(|e| unreachable!("a matrix: {e}"));
            Self::Matrix(if tracked { tensor.autodiff().require_grad() } else { tensor })
        }
    }
}

/// The parameters, as the forward pass reads them.
#[derive(Clone, Debug)]
pub struct Weights {
    leaves: Vec<(Leaf, bool)>,
}

impl Parameters {
    /// A view for one forward pass. With `tracked`, trainable parameters are
    /// leaves of a new autodiff graph; frozen ones never are. Values are shared,
    /// not copied.
    pub fn weights(&self, tracked: bool) -> Weights {
        let leaves = self
            .iter()
            .map(|p| {
                let leaf = tracked && p.trainable;
                (Leaf::new(&p.value, leaf), leaf)
            })
            .collect();
        Weights { leaves }
    }
}

impl Weights {
    /// Whether anything here records gradients.
    pub fn is_tracked(&self) -> bool {
        self.leaves.iter().any(|(_, leaf)| *leaf)
    }

    /// Whether the parameter at `index` records gradients.
    pub(super) fn learns(&self, index: usize) -> bool {
        self.leaves[index].1
    }

    /// The bias or norm at `index`, `[features]`.
    pub(super) fn vector(&self, index: usize) -> Tensor<1> {
        match &self.leaves[index].0 {
            Leaf::Vector(tensor) => tensor.clone(),
            Leaf::Matrix(_) => unreachable!("parameter {index} is a matrix"),
        }
    }

    /// The matrix at `index`, `[out, in]`.
    pub(super) fn matrix(&self, index: usize) -> Tensor<2> {
        match &self.leaves[index].0 {
            Leaf::Matrix(tensor) => tensor.clone(),
            Leaf::Vector(_) => unreachable!("parameter {index} is a vector"),
        }
    }

    /// Gradients of the scalar `loss`, untracked, one slot a parameter in their
    /// order; `None` for frozen parameters and for those the loss does not reach.
    /// Consumes the graph that led to `loss`.
    ///
    /// # Errors
    /// When `loss` is not one float, or depends on no trainable parameter.
    pub fn backward(&self, loss: &AnyTensor) -> Result<Vec<Option<AnyTensor>>, ModelError> {
        if loss.numel() != 1 {
            return Err(ModelError::request(format!("the loss must be one number, but has shape {:?}", loss.shape())));
        }
        if !loss.is_tracked() {
            return Err(ModelError::request(
                "the loss depends on no trainable parameter: nothing can learn from it (is everything frozen?)",
            ));
        }
        let loss: Tensor<1, Float> = loss.reshape(&[1])?.typed()?;
        // As the forward pass: on a thread of the pool, but a GPU is asked from one thread always.
        let mut gradients = if is_host(&loss.device()) { rayon::scope(|_| loss.backward()) } else { loss.backward() };
        Ok(self
            .leaves
            .iter()
            .map(|(leaf, tracked)| match leaf {
                _ if !tracked => None,
                Leaf::Vector(tensor) => tensor.grad_remove(&mut gradients).map(AnyTensor::from),
                Leaf::Matrix(tensor) => tensor.grad_remove(&mut gradients).map(AnyTensor::from),
            })
            .collect())
    }
}
