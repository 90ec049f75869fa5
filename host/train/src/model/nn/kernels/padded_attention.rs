//! Attention as burn's own operations: what a GPU runs.
//!
//! Spans are padded to the longest, here and nowhere else; the scores of all heads
//! are made as a whole, and again in the backward pass. Key heads are repeated for
//! the query heads that share them. Dropout factors are made on the host.

use burn::backend::tensor::{Device, FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IntDType, Shape, TensorData};

use super::spans::Spans;

/// What is added where a query may not look. Finite, so that no row of scores is
/// all infinities; far below any score, so that its exponential is zero.
const HIDDEN: f32 = -1e9;

/// Where tokens lie when spans are padded to the longest.
struct Padding<B: Backend> {
    spans: usize,
    longest: usize,
    /// For each place the token, or token 0.
    tokens: IntTensor<B>,
    /// For each token its place, or place 0.
    places: IntTensor<B>,
    /// `[spans, 1, longest, 1]`: one on tokens.
    real: FloatTensor<B>,
    /// `[tokens, 1]`: one on tokens of a span; absent when all are.
    inside: Option<FloatTensor<B>>,
    /// `[spans, 1, longest, longest]`: zero where a query looks, else [`HIDDEN`].
    mask: FloatTensor<B>,
}

impl<B: Backend> Padding<B> {
    fn new(spans: &Spans, tokens: usize, device: &Device<B>) -> Self {
        let longest = spans.spans.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let count = spans.spans.len();
        let mut token_of = vec![0i64; count * longest];
        let mut place_of = vec![0i64; tokens];
        let mut real = vec![0.0f32; count * longest];
        let mut inside = vec![0.0f32; tokens];
        let mut mask = vec![HIDDEN; count * longest * longest];
        for (index, span) in spans.spans.iter().enumerate() {
            for (position, token) in span.clone().enumerate() {
                let place = index * longest + position;
                token_of[place] = token as i64;
                place_of[token] = place as i64;
                (real[place], inside[token]) = (1.0, 1.0);
                mask[place * longest..][spans.pattern.seen(position, position + 1, span.len())].fill(0.0);
            }
        }
        let covered = inside.iter().all(|x| *x > 0.0);
        Self {
            spans: count,
            longest,
            tokens: integers::<B>(token_of, device),
            places: integers::<B>(place_of, device),
            real: floats::<B>(real, &[count, 1, longest, 1], device),
            inside: (!covered).then(|| floats::<B>(inside, &[tokens, 1], device)),
            mask: floats::<B>(mask, &[count, 1, longest, longest], device),
        }
    }

    /// `[tokens, heads * width]` to `[spans, heads, longest, width]`; padding is zero.
    fn pad(&self, x: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
        let width = x.shape()[1] / heads;
        let x = B::float_select(x, 0, self.tokens.clone());
        let x = B::float_reshape(x, Shape::new([self.spans, self.longest, heads, width]));
        B::float_mul(B::float_swap_dims(x, 1, 2), self.real.clone())
    }

    /// Undoes [`Padding::pad`].
    fn unpad(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let [spans, heads, longest, width] = x.shape().dims();
        let x = B::float_reshape(B::float_swap_dims(x, 1, 2), Shape::new([spans * longest, heads * width]));
        let x = B::float_select(x, 0, self.places.clone());
        match &self.inside {
            Some(inside) => B::float_mul(x, inside.clone()),
            None => x,
        }
    }
}

fn integers<B: Backend>(values: Vec<i64>, device: &Device<B>) -> IntTensor<B> {
    let count = values.len();
    let data = TensorData::new(values, [count]);
    B::int_cast(B::int_from_data(data, device), IntDType::I32)
}

fn floats<B: Backend>(values: Vec<f32>, shape: &[usize], device: &Device<B>) -> FloatTensor<B> {
    B::float_from_data(TensorData::new(values, shape.to_vec()), device)
}

/// `[spans, kv_heads, longest, width]` to `[spans, heads, longest, width]`.
fn shared<B: Backend>(x: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [spans, kv_heads, longest, width] = x.shape().dims();
    if heads == kv_heads {
        return x;
    }
    let group = heads / kv_heads;
    let x = B::float_reshape(x, Shape::new([spans, kv_heads, 1, longest, width]));
    let x = B::float_expand(x, Shape::new([spans, kv_heads, group, longest, width]));
    B::float_reshape(x, Shape::new([spans, heads, longest, width]))
}

/// The gradient of [`shared`].
fn summed<B: Backend>(x: FloatTensor<B>, kv_heads: usize) -> FloatTensor<B> {
    let [spans, heads, longest, width] = x.shape().dims();
    if heads == kv_heads {
        return x;
    }
    let x = B::float_reshape(x, Shape::new([spans, kv_heads, heads / kv_heads, longest, width]));
    B::float_reshape(B::float_sum_dim(x, 2), Shape::new([spans, kv_heads, longest, width]))
}

/// Probabilities, and the tangents of capped scores.
fn probabilities<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    padding: &Padding<B>,
    spans: &Spans,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let scores = B::float_mul_scalar(B::float_matmul(q, B::float_swap_dims(k, 2, 3)), spans.scale.into());
    let (scores, tangent) = match spans.soft_cap {
        Some(cap) => {
            let tangent = B::float_tanh(B::float_mul_scalar(scores, (1.0 / cap).into()));
            (B::float_mul_scalar(tangent.clone(), cap.into()), Some(tangent))
        }
        None => (scores, None),
    };
    (B::softmax(B::float_add(scores, padding.mask.clone()), 3), tangent)
}

/// `[spans, heads, longest, longest]`.
fn factors<B: Backend>(spans: &Spans, longest: usize, device: &Device<B>) -> Option<FloatTensor<B>> {
    let dropout = spans.dropout.as_ref()?;
    let mut factors = vec![1.0f32; spans.spans.len() * spans.heads * longest * longest];
    for (line, factors) in factors.chunks_exact_mut(longest.max(1)).enumerate() {
        let (query, head) = (line % longest, line / longest % spans.heads);
        let span = line / longest / spans.heads;
        let length = spans.spans[span].len();
        if query < length {
            dropout.rate.fill(dropout.stream(span, head, query), 0, &mut factors[..length]);
        }
    }
    Some(floats::<B>(factors, &[spans.spans.len(), spans.heads, longest, longest], device))
}

fn times<B: Backend>(x: FloatTensor<B>, factors: Option<&FloatTensor<B>>) -> FloatTensor<B> {
    match factors {
        Some(factors) => B::float_mul(x, factors.clone()),
        None => x,
    }
}

pub(super) fn forward<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    spans: &Spans,
) -> FloatTensor<B> {
    let device = q.device();
    let padding = Padding::<B>::new(spans, q.shape()[0], &device);
    let q = padding.pad(q, spans.heads);
    let [k, v] = [k, v].map(|x| shared::<B>(padding.pad(x, spans.kv_heads), spans.heads));
    let (p, _) = probabilities::<B>(q, k, &padding, spans);
    let p = times::<B>(p, factors::<B>(spans, padding.longest, &device).as_ref());
    padding.unpad(B::float_matmul(p, v))
}

pub(super) fn backward<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    grad: FloatTensor<B>,
    spans: &Spans,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let device = q.device();
    let padding = Padding::<B>::new(spans, q.shape()[0], &device);
    let [q, grad] = [q, grad].map(|x| padding.pad(x, spans.heads));
    let [k, v] = [k, v].map(|x| shared::<B>(padding.pad(x, spans.kv_heads), spans.heads));
    let (p, tangent) = probabilities::<B>(q.clone(), k.clone(), &padding, spans);
    let factors = factors::<B>(spans, padding.longest, &device);

    let dropped = times::<B>(p.clone(), factors.as_ref());
    let v_grad = B::float_matmul(B::float_swap_dims(dropped, 2, 3), grad.clone());
    let slope = times::<B>(B::float_matmul(grad, B::float_swap_dims(v, 2, 3)), factors.as_ref());
    let along = B::float_sum_dim(B::float_mul(p.clone(), slope.clone()), 3);
    let slope = B::float_mul(p, B::float_sub(slope, along));
    let slope = match tangent {
        Some(tangent) => {
            let square = B::float_mul(tangent.clone(), tangent);
            B::float_sub(slope.clone(), B::float_mul(slope, square))
        }
        None => slope,
    };
    let slope = B::float_mul_scalar(slope, spans.scale.into());
    let q_grad = B::float_matmul(slope.clone(), k);
    let k_grad = B::float_matmul(B::float_swap_dims(slope, 2, 3), q);
    let [k_grad, v_grad] = [k_grad, v_grad].map(|x| padding.unpad(summed::<B>(x, spans.kv_heads)));
    (padding.unpad(q_grad), k_grad, v_grad)
}
