//! One forward pass's view of the parameters.
//!
//! Trainable parameters become leaves of the autodiff graph. Frozen ones stay
//! outside it: an operation on constants alone records nothing, so nothing below
//! the lowest trainable layer is kept in memory or visited by the backward pass.
//! A view is good for one `backward`; making one costs a handle a parameter.
//!
//! Where blocks are recomputed, the graph that leads to the loss begins behind them, and `backward` goes on through
//! their [`Chain`].

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::{Float, Gradients, Tensor};
use retune_tensor::AnyTensor;
use retune_tensor::device::is_host;

use super::segments::Chain;
use super::{ModelError, Parameters};

#[derive(Clone, Debug)]
enum Leaf {
    Vector(Tensor<1>),
    Matrix(Tensor<2>),
}

impl Leaf {
    /// Every parameter is a vector or a matrix of floats: `Parameters` checks it.
    fn new(value: &AnyTensor) -> Self {
        if value.shape().len() == 1 {
            Self::Vector(value.typed().unwrap_or_else(|e| unreachable!("a vector: {e}")))
        } else {
            Self::Matrix(value.typed().unwrap_or_else(|e| unreachable!("a matrix: {e}")))
        }
    }

    fn tracked(&self) -> Self {
        match self.clone() {
            Self::Vector(tensor) => Self::Vector(tensor.autodiff().require_grad()),
            Self::Matrix(tensor) => Self::Matrix(tensor.autodiff().require_grad()),
        }
    }

    fn gradient(&self, gradients: &mut Gradients) -> Option<AnyTensor> {
        match self {
            Self::Vector(tensor) => tensor.grad_remove(gradients).map(AnyTensor::from),
            Self::Matrix(tensor) => tensor.grad_remove(gradients).map(AnyTensor::from),
        }
    }
}

/// The values of all parameters, and which learn. A clone is a handle.
#[derive(Clone, Debug)]
pub(super) struct Values(Arc<[(Leaf, bool)]>);

impl Values {
    /// The start of a graph: what learns is a leaf from when it is first read.
    pub(super) fn view(&self) -> Weights {
        Weights {
            values: self.clone(),
            constant: false,
            read: self.0.iter().map(|_| OnceLock::new()).collect(),
            chains: None,
        }
    }
}

/// The parameters, as the forward pass reads them.
#[derive(Clone, Debug)]
pub struct Weights {
    values: Values,
    /// Nothing learns, whatever the values say.
    constant: bool,
    /// What was read of them.
    read: Vec<OnceLock<Box<Leaf>>>,
    /// Of the forward passes that recompute; `None` when none does.
    chains: Option<Arc<Mutex<Vec<Chain>>>>,
}

impl Parameters {
    /// A view for one forward pass. With `tracked`, trainable parameters are
    /// leaves of a new autodiff graph; frozen ones never are. Values are shared,
    /// not copied.
    pub fn weights(&self, tracked: bool) -> Weights {
        Values(self.iter().map(|p| (Leaf::new(&p.value), tracked && p.trainable)).collect()).view()
    }
}

impl Weights {
    /// The same, for forward passes that keep the states between blocks and recompute what is inside them.
    pub(super) fn recomputing(mut self) -> Self {
        self.chains = self.is_tracked().then(Arc::default);
        self
    }

    /// The same values, none of which learns.
    pub(super) fn constants(&self) -> Self {
        Self { constant: true, ..self.values.view() }
    }

    /// What is viewed, for another view.
    pub(super) fn values(&self) -> Values {
        self.values.clone()
    }

    /// Whether anything here records gradients.
    pub fn is_tracked(&self) -> bool {
        (0..self.read.len()).any(|index| self.learns(index))
    }

    /// Whether the parameter at `index` records gradients.
    pub(super) fn learns(&self, index: usize) -> bool {
        self.values.0[index].1 && !self.constant
    }

    fn leaf(&self, index: usize) -> &Leaf {
        self.read[index].get_or_init(|| {
            let value = &self.values.0[index].0;
            Box::new(if self.learns(index) { value.tracked() } else { value.clone() })
        })
    }

    /// Whether a parameter that `which` takes was read.
    pub(super) fn has_read(&self, which: impl Fn(usize) -> bool) -> bool {
        self.read.iter().enumerate().any(|(index, read)| read.get().is_some() && which(index))
    }

    /// Whether blocks are recomputed; then their chain is to be [kept](Weights::keep).
    pub(super) fn recomputes(&self) -> bool {
        self.chains.is_some()
    }

    /// Keeps the chain of a forward pass for the backward pass.
    pub(super) fn keep(&self, chain: Chain) {
        if let Some(chains) = &self.chains {
            chains.lock().unwrap_or_else(PoisonError::into_inner).push(chain);
        }
    }

    /// The bias or norm at `index`, `[features]`.
    pub(super) fn vector(&self, index: usize) -> Tensor<1> {
        match self.leaf(index) {
            Leaf::Vector(tensor) => tensor.clone(),
            Leaf::Matrix(_) => unreachable!("parameter {index} is a matrix"),
        }
    }

    /// The matrix at `index`, `[out, in]`.
    pub(super) fn matrix(&self, index: usize) -> Tensor<2> {
        match self.leaf(index) {
            Leaf::Matrix(tensor) => tensor.clone(),
            Leaf::Vector(_) => unreachable!("parameter {index} is a vector"),
        }
    }

    /// What `gradients` hold of the parameters that were read here, with their indices.
    pub(super) fn gradients<'a>(
        &'a self,
        gradients: &'a mut Gradients,
    ) -> impl Iterator<Item = (usize, AnyTensor)> + 'a {
        let learning = self.read.iter().enumerate().filter(|(index, _)| self.learns(*index));
        learning.filter_map(|(index, read)| Some((index, read.get()?.gradient(gradients)?)))
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
        if is_host(&loss.device()) { rayon::scope(|_| self.back(loss)) } else { self.back(loss) }
    }

    fn back(&self, loss: Tensor<1, Float>) -> Result<Vec<Option<AnyTensor>>, ModelError> {
        let mut sums = Sums(vec![None; self.read.len()], None);
        let mut gradients = loss.backward();
        self.gradients(&mut gradients).for_each(|(index, part)| sums.add(index, part));
        let chains = self
            .chains
            .as_ref()
            .map(|chains| std::mem::take(&mut *chains.lock().unwrap_or_else(PoisonError::into_inner)));
        for chain in chains.into_iter().flatten() {
            // What lies below the first segment has a graph of its own.
            if let Some((start, grad)) = chain.back(&mut gradients, |index, part| sums.add(index, part)) {
                let mut gradients = (start * grad).sum().backward();
                self.gradients(&mut gradients).for_each(|(index, part)| sums.add(index, part));
            }
        }
        match sums.1 {
            Some(error) => Err(error.into()),
            None => Ok(sums.0),
        }
    }
}

/// Gradients by parameter, and the first addition that failed.
struct Sums(Vec<Option<AnyTensor>>, Option<retune_tensor::TensorError>);

impl Sums {
    fn add(&mut self, index: usize, part: AnyTensor) {
        let sum = match self.0[index].take() {
            Some(sum) => sum.add(&part),
            None => Ok(part),
        };
        match sum {
            Ok(sum) => self.0[index] = Some(sum),
            Err(error) => self.1 = self.1.take().or(Some(error)),
        }
    }
}
