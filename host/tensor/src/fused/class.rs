//! The log-probability of one class a row, with a backward pass of its own.
//!
//! Composed from single operations, `log_softmax` and `gather` keep three tensors
//! of the size of the logits for backward and fill two more there. This keeps the
//! logits (which are alive anyway) and two numbers a row, and backward fills the
//! gradient alone:
//!
//! `y = x[c] - m - s` with `m = max(x)`, `s = log(sum(exp(x - m)))`, and
//! `dL/dx[j] = dL/dy * ((j == c) - exp(x[j] - m - s))`.
//!
//! A class of [`IGNORED`] gives 0 and no gradient. On the CPU with float32 the
//! rows are worked on in parallel and ignored ones cost nothing; elsewhere the
//! formulas are composed from the backend's operations.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, get_device_settings};
use burn::tensor::{DType, IndexingUpdateOp, Scalar, TensorData};
use rayon::prelude::*;

/// The class of a row that takes no part.
pub(super) const IGNORED: i64 = -1;

/// Elements a thread takes at least: about 50 microseconds of work.
const GRAIN: usize = 1 << 14;

/// logits `[n, classes]` in float32 or wider, class `[n, 1]` int64 in
/// `-1..classes`, to `[n, 1]`.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "cuda"))]
pub trait ClassLogProb: Backend {
    /// `log_softmax(logits)[class]`, or zero where the class is -1.
    fn class_log_prob(logits: FloatTensor<Self>, class: IntTensor<Self>) -> FloatTensor<Self>;
}

/// Forward and backward without a tape.
pub trait Rows: Backend {
    /// The result and what backward needs of it: `y`, `m` and `s`, each `[n, 1]`.
    fn forward(logits: FloatTensor<Self>, class: IntTensor<Self>) -> [FloatTensor<Self>; 3] {
        composed_forward::<Self>(logits, class)
    }

    /// `dL/dx` from `x`, `m`, `s`, the class and `dL/dy`.
    fn gradient(
        logits: FloatTensor<Self>,
        [max, log_sum]: [FloatTensor<Self>; 2],
        class: IntTensor<Self>,
        upstream: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_gradient::<Self>(logits, [max, log_sum], class, upstream)
    }
}

fn composed_forward<B: Backend>(logits: FloatTensor<B>, class: IntTensor<B>) -> [FloatTensor<B>; 3] {
    let store = get_device_settings::<B>(&logits.device()).bool_dtype;
    let ignored = B::int_equal_elem(class.clone(), Scalar::Int(IGNORED), store);
    let class = B::int_clamp_min(class, Scalar::Int(0));
    let max = B::float_max_dim(logits.clone(), 1);
    let sum = B::float_sum_dim(B::float_exp(B::float_sub(logits.clone(), max.clone())), 1);
    let log_sum = B::float_log(sum);
    let chosen = B::float_sub(B::float_gather(1, logits, class), max.clone());
    let y = B::float_mask_fill(B::float_sub(chosen, log_sum.clone()), ignored, Scalar::Float(0.0));
    [y, max, log_sum]
}

fn composed_gradient<B: Backend>(
    logits: FloatTensor<B>,
    [max, log_sum]: [FloatTensor<B>; 2],
    class: IntTensor<B>,
    upstream: FloatTensor<B>,
) -> FloatTensor<B> {
    let store = get_device_settings::<B>(&logits.device()).bool_dtype;
    let ignored = B::int_equal_elem(class.clone(), Scalar::Int(IGNORED), store);
    let class = B::int_clamp_min(class, Scalar::Int(0));
    let upstream = B::float_mask_fill(upstream, ignored, Scalar::Float(0.0));
    let p = B::float_exp(B::float_sub(B::float_sub(logits, max), log_sum));
    let spread = B::float_mul(p, B::float_neg(upstream.clone()));
    B::float_scatter(1, spread, class, upstream, IndexingUpdateOp::Add)
}

/// The elements of a dense tensor.
macro_rules! elements {
    ($tensor:expr, $element:ty) => {{
        let start = $tensor.layout().start_offset();
        &$tensor.storage::<$element>()[start..start + $tensor.layout().num_elements()]
    }};
}

/// `[n, 1]` float32 on the CPU.
fn column(values: Vec<f32>) -> FlexTensor {
    let rows = values.len();
    FlexTensor::from_data(TensorData::new(values, [rows, 1]))
}

/// `y`, `m` and `s` of a row.
fn row_forward(logits: &[f32], class: i64) -> [f32; 3] {
    if class == IGNORED {
        return [0.0; 3];
    }
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from((x - max).exp())).sum();
    let log_sum = sum.ln() as f32;
    [logits[class as usize] - max - log_sum, max, log_sum]
}

/// `dL/dx` of a row whose `gradient` is zero before.
fn row_gradient(gradient: &mut [f32], logits: &[f32], [max, log_sum]: [f32; 2], class: i64, upstream: f32) {
    if class == IGNORED {
        return;
    }
    for (slot, x) in gradient.iter_mut().zip(logits) {
        *slot = -upstream * (x - max - log_sum).exp();
    }
    gradient[class as usize] += upstream;
}

impl Rows for Flex {
    fn forward(logits: FlexTensor, class: FlexTensor) -> [FlexTensor; 3] {
        if logits.dtype() != DType::F32 || class.dtype() != DType::I64 {
            return composed_forward::<Self>(logits, class);
        }
        let (logits, class) = (logits.to_contiguous(), class.to_contiguous());
        let (x, c) = (elements!(logits, f32), elements!(class, i64));
        let width = x.len() / c.len().max(1);
        let one = |(row, class): (&[f32], &i64)| row_forward(row, *class);
        // Below the grain, waking another thread costs more than the work.
        let rows: Vec<[f32; 3]> = if x.len() <= GRAIN {
            x.chunks(width.max(1)).zip(c).map(one).collect()
        } else {
            x.par_chunks(width).with_min_len(GRAIN.div_ceil(width)).zip(c).map(one).collect()
        };
        [0, 1, 2].map(|part| column(rows.iter().map(|row| row[part]).collect()))
    }

    fn gradient(
        logits: FlexTensor,
        normaliser: [FlexTensor; 2],
        class: FlexTensor,
        upstream: FlexTensor,
    ) -> FlexTensor {
        if logits.dtype() != DType::F32 || class.dtype() != DType::I64 {
            return composed_gradient::<Self>(logits, normaliser, class, upstream);
        }
        let (logits, class, upstream) = (logits.to_contiguous(), class.to_contiguous(), upstream.to_contiguous());
        let (x, c, g) = (elements!(logits, f32), elements!(class, i64), elements!(upstream, f32));
        let (max, log_sum) = (elements!(normaliser[0], f32), elements!(normaliser[1], f32));
        let width = (x.len() / c.len().max(1)).max(1);
        let mut gradient = vec![0f32; x.len()];
        let one = |(i, row): (usize, &mut [f32])| {
            row_gradient(row, &x[i * width..][..row.len()], [max[i], log_sum[i]], c[i], g[i]);
        };
        if x.len() <= GRAIN {
            gradient.chunks_mut(width).enumerate().for_each(one);
        } else {
            gradient.par_chunks_mut(width).with_min_len(GRAIN.div_ceil(width)).enumerate().for_each(one);
        }
        FlexTensor::from_data(TensorData::new(gradient, logits.shape()))
    }
}

impl ClassLogProb for Flex {
    fn class_log_prob(logits: FloatTensor<Self>, class: IntTensor<Self>) -> FloatTensor<Self> {
        let [y, ..] = Self::forward(logits, class);
        y
    }
}

#[cfg(feature = "cuda")]
impl Rows for burn::backend::Cube {}

#[cfg(feature = "cuda")]
impl ClassLogProb for burn::backend::Cube {
    fn class_log_prob(logits: FloatTensor<Self>, class: IntTensor<Self>) -> FloatTensor<Self> {
        let [y, ..] = Self::forward(logits, class);
        y
    }
}

/// The recorded operation.
#[derive(Debug)]
struct Recorded;

/// What is kept for backward: `x`, `m`, `s` and the class.
type Kept<B> = (FloatTensor<B>, [FloatTensor<B>; 2], IntTensor<B>);

impl<B: Rows> Backward<B, 1> for Recorded {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let upstream = gradients.consume::<B>(&ops.node);
        let (logits, normaliser, class) = ops.state;
        if let [Some(parent)] = ops.parents {
            gradients.register::<B>(parent.id, B::gradient(logits, normaliser, class, upstream));
        }
    }
}

impl<B: Rows + ClassLogProb, C: CheckpointStrategy> ClassLogProb for Autodiff<B, C> {
    fn class_log_prob(logits: FloatTensor<Self>, class: IntTensor<Self>) -> FloatTensor<Self> {
        match Recorded.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let x = logits.into_primitive();
                let [y, max, log_sum] = B::forward(x.clone(), class.clone());
                prepared.finish((x, [max, log_sum], class), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::class_log_prob(logits.into_primitive(), class)),
        }
    }
}

/// `[n, classes]` and `[n, 1]` int64 to `[n, 1]`, on whatever device they are.
pub(super) fn class_log_prob(
    logits: burn::backend::DispatchTensor,
    class: burn::backend::DispatchTensor,
) -> burn::backend::DispatchTensor {
    Dispatch::class_log_prob(logits, class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flex(values: &[f32], shape: [usize; 2]) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(values.to_vec(), shape))
    }

    fn values(tensor: FlexTensor) -> Vec<f32> {
        let tensor = tensor.to_contiguous();
        elements!(tensor, f32).to_vec()
    }

    #[test]
    fn the_rows_on_the_cpu_give_what_the_composed_formulas_give() {
        let x: Vec<f32> = (0..35).map(|i| (i as f32 * 1.3).sin() * 4.0).collect();
        let x = flex(&x, [5, 7]);
        let class = FlexTensor::from_data(TensorData::new(vec![3i64, -1, 0, 6, -1], [5, 1]));
        let upstream = flex(&[0.5, 2.0, -1.0, 1.0, 0.0], [5, 1]);
        let fast = Flex::forward(x.clone(), class.clone());
        let plain = composed_forward::<Flex>(x.clone(), class.clone());
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6) && a.len() == b.len();
        assert!(near(&values(fast[0].clone()), &values(plain[0].clone())));
        let [_, max, log_sum] = fast;
        let fast = Flex::gradient(x.clone(), [max, log_sum], class.clone(), upstream.clone());
        let [_, max, log_sum] = plain;
        let plain = composed_gradient::<Flex>(x, [max, log_sum], class, upstream);
        assert!(near(&values(fast.clone()), &values(plain)), "{:?}", values(fast));
        assert_eq!(values(fast)[7..14], [0.0; 7]);
    }
}
