//! One number per row of logits, with a backward pass of its own.
//!
//! Composed from single operations, `log_softmax` and `gather` keep three tensors
//! of the size of the logits for backward and fill two more there. Here a row is
//! kept as three numbers: its score `y`, its maximum `m` and `s = log(sum(exp(x - m)))`.
//! With `p = exp(x - m - s)`, and `c` the row's class,
//!
//! | score | `y` | `dy/dx[j]` |
//! |---|---|---|
//! | label | `x[c] - m - s` | `(j == c) - p[j]` |
//! | mean | `mean(x) - m - s` | `1/V - p[j]` |
//! | entropy | `-sum(p log p)` | `-p[j] (log p[j] + y)` |
//!
//! The logits are either there, or are those of a head that has not run: then they
//! are computed chunk by chunk, forward and again backward, where each chunk's
//! gradient goes on to the hidden states and the weight at once. `[rows, vocab]` never
//! exists, and the price is one matrix product more.
//!
//! A class of [`IGNORED`] gives 0 and no gradient. The formulas here are composed
//! from the backend's operations; float32 on the CPU has [`super::flex`].

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, TensorMetadata, backend_extension, get_device_settings};
use burn::tensor::{DType, FloatDType, IndexingUpdateOp, Scalar, Shape, Slice};

use crate::narrow::widened;

/// The class of a row that takes no part.
pub(super) const IGNORED: i64 = -1;

/// Logits of a head that are composed at a time: 64 MiB of float32.
pub const HEAD_CHUNK: usize = 16 << 20;

/// What is asked of a row of logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// The log-probability of the row's class.
    Label,
    /// The mean of all log-probabilities.
    Mean,
    /// The entropy of the distribution.
    Entropy,
}

/// Scores of rows, on the tape or off it. Classes are `[n, 1]` int64 in `-1..vocab`;
/// scores are `[n, 1]`, in float32 or wider.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cuda"))]
pub trait Scores: Backend {
    /// Of logits `[n, vocab]` in float32 or wider.
    fn row_scores(logits: FloatTensor<Self>, class: IntTensor<Self>, score: Score) -> FloatTensor<Self>;

    /// Of the logits `hidden weightᵀ + bias`, from `[n, hidden]`, `[vocab, hidden]` and `[vocab]` (`[0]` for none),
    /// each `x` seen as `cap tanh(x / cap)` unless `cap` is zero.
    fn head_scores(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        class: IntTensor<Self>,
        cap: f64,
        score: Score,
    ) -> FloatTensor<Self>;

    /// `hidden weightᵀ`: `[n, hidden]` and `[vocab, hidden]` give `[n, vocab]`.
    fn head_logits(hidden: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// A head and what it reads, see [`Scores::head_scores`].
#[derive(Clone, Debug)]
pub struct Head<B: Backend> {
    pub(super) hidden: FloatTensor<B>,
    pub(super) weight: FloatTensor<B>,
    pub(super) bias: FloatTensor<B>,
    pub(super) cap: f64,
}

impl<B: Backend> Head<B> {
    /// With a weight of the type of the hidden states.
    fn wide(&self) -> Self {
        Self { weight: widened::<B>(self.weight.clone(), self.hidden.dtype()), ..self.clone() }
    }
}

/// `y`, `m` and `s`, each `[n, 1]`.
pub type Stats<B> = [FloatTensor<B>; 3];

/// Forward and backward without a tape.
pub trait Rows: Backend {
    /// The score and what backward needs of it.
    fn row_forward(logits: FloatTensor<Self>, class: IntTensor<Self>, score: Score) -> Stats<Self> {
        composed_forward::<Self>(logits, class, score)
    }

    /// `dL/dx` from `dL/dy`.
    fn row_backward(
        logits: FloatTensor<Self>,
        stats: Stats<Self>,
        class: IntTensor<Self>,
        upstream: FloatTensor<Self>,
        score: Score,
    ) -> FloatTensor<Self> {
        composed_backward::<Self>(logits, stats, class, upstream, score)
    }

    /// As [`Rows::row_forward`], of a head's logits.
    fn head_forward(head: Head<Self>, class: IntTensor<Self>, score: Score) -> Stats<Self> {
        composed_head_forward::<Self>(&head, class, score)
    }

    /// Gradients of hidden states, weight and bias, of those that are `wanted`.
    fn head_backward(
        head: Head<Self>,
        stats: Stats<Self>,
        class: IntTensor<Self>,
        upstream: FloatTensor<Self>,
        score: Score,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3] {
        composed_head_backward::<Self>(&head, stats, class, upstream, score, wanted)
    }

    /// The matrix product: `[m, k]` and `[k, n]` give `[m, n]`.
    fn multiply(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(a, b)
    }
}

fn ignored<B: Backend>(class: &IntTensor<B>) -> burn::backend::tensor::BoolTensor<B> {
    let store = get_device_settings::<B>(&class.device()).bool_dtype;
    B::int_equal_elem(class.clone(), Scalar::Int(IGNORED), store)
}

/// `value` where `p` is not zero; a class that cannot happen adds nothing, whatever its logarithm is.
fn possible<B: Backend>(p: &FloatTensor<B>, value: FloatTensor<B>) -> FloatTensor<B> {
    let store = get_device_settings::<B>(&p.device()).bool_dtype;
    B::float_mask_fill(value, B::float_equal_elem(p.clone(), Scalar::Float(0.0), store), Scalar::Float(0.0))
}

pub(super) fn composed_forward<B: Backend>(logits: FloatTensor<B>, class: IntTensor<B>, score: Score) -> Stats<B> {
    let width = logits.shape()[1] as f64;
    let ignored = ignored::<B>(&class);
    let max = B::float_max_dim(logits.clone(), 1);
    let shifted = B::float_sub(logits, max.clone());
    let e = B::float_exp(shifted.clone());
    let sum = B::float_sum_dim(e.clone(), 1);
    let log_sum = B::float_log(sum.clone());
    let y = match score {
        Score::Label => {
            let chosen = B::float_gather(1, shifted, B::int_clamp_min(class, Scalar::Int(0)));
            B::float_sub(chosen, log_sum.clone())
        }
        Score::Mean => {
            let mean = B::float_mul_scalar(B::float_sum_dim(shifted, 1), Scalar::Float(1.0 / width));
            B::float_sub(mean, log_sum.clone())
        }
        Score::Entropy => {
            let moment = B::float_sum_dim(B::float_mul(possible::<B>(&e, shifted), e), 1);
            B::float_sub(log_sum.clone(), B::float_div(moment, sum))
        }
    };
    [B::float_mask_fill(y, ignored, Scalar::Float(0.0)), max, log_sum]
}

pub(super) fn composed_backward<B: Backend>(
    logits: FloatTensor<B>,
    [y, max, log_sum]: Stats<B>,
    class: IntTensor<B>,
    upstream: FloatTensor<B>,
    score: Score,
) -> FloatTensor<B> {
    let width = logits.shape()[1] as f64;
    let upstream = B::float_mask_fill(upstream, ignored::<B>(&class), Scalar::Float(0.0));
    let down = B::float_neg(upstream.clone());
    let log_p = B::float_sub(B::float_sub(logits, max), log_sum);
    let p = B::float_exp(log_p.clone());
    match score {
        Score::Label => {
            let class = B::int_clamp_min(class, Scalar::Int(0));
            B::float_scatter(1, B::float_mul(p, down), class, upstream, IndexingUpdateOp::Add)
        }
        Score::Mean => B::float_add(B::float_mul(p, down), B::float_mul_scalar(upstream, Scalar::Float(1.0 / width))),
        Score::Entropy => B::float_mul(B::float_mul(possible::<B>(&p, B::float_add(log_p, y)), p), down),
    }
}

fn rows_of<B: Backend>(x: &FloatTensor<B>, from: usize, to: usize) -> FloatTensor<B> {
    B::float_slice(x.clone(), &[Slice::from(from..to)])
}

/// `(from, to)` of every chunk of a head's rows.
fn chunks<B: Backend>(head: &Head<B>) -> impl Iterator<Item = (usize, usize)> + use<B> {
    let (rows, vocab) = (head.hidden.shape()[0], head.weight.shape()[0]);
    let height = (HEAD_CHUNK / vocab.max(1)).max(1);
    (0..rows).step_by(height).map(move |from| (from, (from + height).min(rows)))
}

/// The logits of some rows, in float32 or wider.
fn chunk_logits<B: Backend>(head: &Head<B>, hidden: FloatTensor<B>) -> FloatTensor<B> {
    let mut x = B::float_matmul(hidden, B::float_swap_dims(head.weight.clone(), 0, 1));
    let vocab = x.shape()[1];
    if head.bias.shape()[0] > 0 {
        x = B::float_add(x, B::float_reshape(head.bias.clone(), Shape::new([1, vocab])));
    }
    let x = if x.dtype() == DType::F64 { x } else { B::float_cast(x, FloatDType::F32) };
    if head.cap == 0.0 {
        return x;
    }
    let inner = B::float_tanh(B::float_mul_scalar(x, Scalar::Float(1.0 / head.cap)));
    B::float_mul_scalar(inner, Scalar::Float(head.cap))
}

pub(super) fn composed_head_forward<B: Backend>(head: &Head<B>, class: IntTensor<B>, score: Score) -> Stats<B> {
    let (head, mut parts) = (&head.wide(), [const { Vec::new() }; 3]);
    for (from, to) in chunks(head) {
        let x = chunk_logits(head, rows_of::<B>(&head.hidden, from, to));
        let class = B::int_slice(class.clone(), &[Slice::from(from..to)]);
        for (all, part) in parts.iter_mut().zip(composed_forward::<B>(x, class, score)) {
            all.push(part);
        }
    }
    parts.map(|parts| B::float_cat(parts, 0))
}

pub(super) fn composed_head_backward<B: Backend>(
    head: &Head<B>,
    stats: Stats<B>,
    class: IntTensor<B>,
    upstream: FloatTensor<B>,
    score: Score,
    [wants_hidden, wants_weight, wants_bias]: [bool; 3],
) -> [Option<FloatTensor<B>>; 3] {
    let (head, stored): (_, FloatDType) = (&head.wide(), head.hidden.dtype().into());
    let plus = |sum: Option<FloatTensor<B>>, part: FloatTensor<B>| match sum {
        Some(sum) => Some(B::float_add(sum, part)),
        None => Some(part),
    };
    let (mut hidden_parts, mut weight_grad, mut bias_grad) = (Vec::new(), None, None);
    for (from, to) in chunks(head) {
        let hidden = rows_of::<B>(&head.hidden, from, to);
        let x = chunk_logits(head, hidden.clone());
        let class = B::int_slice(class.clone(), &[Slice::from(from..to)]);
        let stats = stats.each_ref().map(|part| rows_of::<B>(part, from, to));
        let mut grad = composed_backward::<B>(x.clone(), stats, class, rows_of::<B>(&upstream, from, to), score);
        if head.cap != 0.0 {
            let capped = B::float_mul_scalar(x, Scalar::Float(1.0 / head.cap));
            let square = B::float_mul(capped.clone(), capped);
            grad = B::float_sub(grad.clone(), B::float_mul(grad, square));
        }
        let grad = B::float_cast(grad, stored);
        if wants_hidden {
            hidden_parts.push(B::float_matmul(grad.clone(), head.weight.clone()));
        }
        if wants_bias {
            let vocab = grad.shape()[1];
            let part = B::float_reshape(B::float_sum_dim(grad.clone(), 0), Shape::new([vocab]));
            bias_grad = plus(bias_grad, part);
        }
        if wants_weight {
            weight_grad = plus(weight_grad, B::float_matmul(B::float_swap_dims(grad, 0, 1), hidden));
        }
    }
    [wants_hidden.then(|| B::float_cat(hidden_parts, 0)), weight_grad, bias_grad]
}

/// The same on every backend.
macro_rules! untaped {
    ($backend:ty) => {
        impl Scores for $backend {
            fn row_scores(logits: FloatTensor<Self>, class: IntTensor<Self>, score: Score) -> FloatTensor<Self> {
                let [y, ..] = Self::row_forward(logits, class, score);
                y
            }

            fn head_scores(
                hidden: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                class: IntTensor<Self>,
                cap: f64,
                score: Score,
            ) -> FloatTensor<Self> {
                let [y, ..] = Self::head_forward(Head { hidden, weight, bias, cap }, class, score);
                y
            }

            fn head_logits(hidden: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
                let weight = widened::<Self>(weight, hidden.dtype());
                Self::multiply(hidden, <Self as FloatTensorOps<Self>>::float_swap_dims(weight, 0, 1))
            }
        }
    };
}

untaped!(burn::backend::Flex);
#[cfg(feature = "cuda")]
untaped!(burn::backend::Cube);
#[cfg(feature = "cuda")]
impl Rows for burn::backend::Cube {}

/// Scores of logits that are there.
#[derive(Debug)]
struct OfRows;

impl<B: Rows> Backward<B, 1> for OfRows {
    type State = (FloatTensor<B>, Stats<B>, IntTensor<B>, Score);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node);
        let (logits, stats, class, score) = ops.state;
        if let [Some(parent)] = ops.parents {
            gradients.register::<B>(parent.id, B::row_backward(logits, stats, class, upstream, score));
        }
    }
}

/// Scores of a head's logits.
#[derive(Debug)]
struct OfHead;

impl<B: Rows> Backward<B, 3> for OfHead {
    type State = (Head<B>, Stats<B>, IntTensor<B>, Score);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node);
        let (head, stats, class, score) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let parts = B::head_backward(head, stats, class, upstream, score, wanted);
        for (parent, part) in ops.parents.into_iter().zip(parts) {
            if let (Some(parent), Some(part)) = (parent, part) {
                gradients.register::<B>(parent.id, part);
            }
        }
    }
}

/// A head's logits.
#[derive(Debug)]
struct Logits;

impl<B: Rows> Backward<B, 2> for Logits {
    type State = [Option<FloatTensor<B>>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node);
        let ([hidden_node, weight_node], [hidden, weight]) = (ops.parents, ops.state);
        if let (Some(node), Some(weight)) = (hidden_node, weight) {
            let weight = widened::<B>(weight, upstream.dtype());
            gradients.register::<B>(node.id, B::multiply(upstream.clone(), weight));
        }
        if let (Some(node), Some(hidden)) = (weight_node, hidden) {
            gradients.register::<B>(node.id, B::multiply(B::float_swap_dims(upstream, 0, 1), hidden));
        }
    }
}

impl<B: Rows + Scores, C: CheckpointStrategy> Scores for Autodiff<B, C> {
    fn row_scores(logits: FloatTensor<Self>, class: IntTensor<Self>, score: Score) -> FloatTensor<Self> {
        match OfRows.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let x = logits.into_primitive();
                let stats = B::row_forward(x.clone(), class.clone(), score);
                let y = stats[0].clone();
                prepared.finish((x, stats, class, score), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::row_scores(logits.into_primitive(), class, score)),
        }
    }

    fn head_scores(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        class: IntTensor<Self>,
        cap: f64,
        score: Score,
    ) -> FloatTensor<Self> {
        let prepared = OfHead.prepare::<C>([hidden.node(), weight.node(), bias.node()]).compute_bound().stateful();
        let (hidden, weight, bias) = (hidden.into_primitive(), weight.into_primitive(), bias.into_primitive());
        let head: Head<B> = Head { hidden, weight, bias, cap };
        match prepared {
            OpsKind::Tracked(prepared) => {
                let stats = B::head_forward(head.clone(), class.clone(), score);
                let y = stats[0].clone();
                prepared.finish((head, stats, class, score), y)
            }
            OpsKind::UnTracked(prepared) => {
                let [y, ..] = B::head_forward(head, class, score);
                prepared.finish(y)
            }
        }
    }

    fn head_logits(hidden: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let kept_hidden = weight.is_tracked().then(|| hidden.primitive().clone());
        let kept_weight = hidden.is_tracked().then(|| weight.primitive().clone());
        let prepared = Logits.prepare::<C>([hidden.node(), weight.node()]).compute_bound().stateful();
        let out = B::head_logits(hidden.into_primitive(), weight.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish([kept_hidden, kept_weight], out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
