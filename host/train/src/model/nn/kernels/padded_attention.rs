//! Attention as burn's own operations: what a GPU runs.
//!
//! Spans are padded to the longest, here and nowhere else; the scores of all heads
//! are made as a whole, and again in the backward pass. Key heads are repeated for
//! the query heads that share them. Masks and dropout factors are made on the device.
//!
//! Sent once a batch, for all blocks and both passes: 4 bytes a place and a token to find one from the other, 4 a span and 4 a
//! place of the longest span for what is padding, and for a pattern that does not see all 8 bytes a place of the longest span.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::tensor::{Device, FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_device_settings};
use burn::tensor::{FloatDType, Shape, TensorData};
use retune_tensor::transfer;

use super::factors;
use super::spans::{Pattern, Spans};

/// What is added where a query may not look, once or twice. Finite, so that no row of scores is
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
    /// `[spans, 1, 1, longest]`: one on keys that are no tokens.
    beyond: FloatTensor<B>,
    /// `[1, 1, 1, longest]`: 0, 1, ..
    keys: IntTensor<B>,
    /// Of the patterns that were asked for.
    masks: Mutex<Vec<(Pattern, FloatTensor<B>)>>,
}

impl<B: Backend> Padding<B> {
    /// Of these spans in a list of so many tokens; made when first asked for.
    fn of(spans: &Spans, tokens: usize, device: &Device<B>) -> Arc<Self> {
        spans.spans.prepared(|| Arc::new(Self::new(spans, tokens, device)))
    }

    fn new(spans: &Spans, tokens: usize, device: &Device<B>) -> Self {
        let longest = spans.spans.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let count = spans.spans.len();
        let mut token_of = vec![0i32; count * longest];
        let mut place_of = vec![0i32; tokens];
        let mut inside = vec![0.0f32; tokens];
        for (index, span) in spans.spans.iter().enumerate() {
            for (position, token) in span.clone().enumerate() {
                let place = index * longest + position;
                (token_of[place], place_of[token], inside[token]) = (token as i32, place as i32, 1.0);
            }
        }
        let covered = inside.iter().all(|x| *x > 0.0);
        let keys = integers::<B>((0..longest as i32).collect(), &[1, 1, 1, longest], device);
        let lengths = spans.spans.iter().map(|span| span.len() as i32).collect();
        let lengths = integers::<B>(lengths, &[count, 1, 1, 1], device);
        let store = get_device_settings::<B>(device).bool_dtype;
        let positions = B::int_reshape(keys.clone(), Shape::new([1, 1, longest, 1]));
        let real = B::bool_into_float(B::int_lower(positions, lengths.clone(), store), FloatDType::F32);
        let beyond = B::bool_into_float(B::int_greater_equal(keys.clone(), lengths, store), FloatDType::F32);
        Self {
            spans: count,
            longest,
            tokens: integers::<B>(token_of, &[count * longest], device),
            places: integers::<B>(place_of, &[tokens], device),
            real,
            inside: (!covered).then(|| {
                transfer::sent::<f32>(tokens);
                B::float_from_data(TensorData::new(inside, [tokens, 1]), device)
            }),
            beyond,
            keys,
            masks: Mutex::default(),
        }
    }

    /// What is added to scores, to be broadcast to `[spans, heads, longest, longest]`: zero where a query looks.
    fn mask(&self, pattern: Pattern, device: &Device<B>) -> FloatTensor<B> {
        let mut masks = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mask)) = masks.iter().find(|(of, _)| *of == pattern) {
            return mask.clone();
        }
        let hidden = if pattern == Pattern::FULL {
            self.beyond.clone()
        } else {
            let seen = |query| pattern.seen(query, query + 1, self.longest);
            let column = |values: Vec<i32>| integers::<B>(values, &[1, 1, self.longest, 1], device);
            let first = column((0..self.longest).map(|query| seen(query).start as i32).collect());
            let end = column((0..self.longest).map(|query| seen(query).end as i32).collect());
            let store = get_device_settings::<B>(device).bool_dtype;
            let before = B::int_lower(self.keys.clone(), first, store);
            let after = B::int_greater_equal(self.keys.clone(), end, store);
            let [before, after] = [before, after].map(|hidden| B::bool_into_float(hidden, FloatDType::F32));
            // Nothing is before and after what is seen at once.
            B::float_add(B::float_add(before, after), self.beyond.clone())
        };
        let mask = B::float_mul_scalar(hidden, HIDDEN.into());
        masks.push((pattern, mask.clone()));
        mask
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

fn integers<B: Backend>(values: Vec<i32>, shape: &[usize], device: &Device<B>) -> IntTensor<B> {
    transfer::sent::<i32>(values.len());
    B::int_from_data(TensorData::new(values, shape.to_vec()), device)
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
    let mask = padding.mask(spans.pattern, &scores.device());
    (B::softmax(B::float_add(scores, mask), 3), tangent)
}

/// `[spans, heads, longest, longest]`.
fn kept<B: Backend>(spans: &Spans, longest: usize, device: &Device<B>) -> Option<FloatTensor<B>> {
    spans.dropout.as_ref().map(|dropout| factors::of_probabilities::<B>(dropout, spans.heads, longest, device))
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
    let padding = Padding::<B>::of(spans, q.shape()[0], &device);
    let q = padding.pad(q, spans.heads);
    let [k, v] = [k, v].map(|x| shared::<B>(padding.pad(x, spans.kv_heads), spans.heads));
    let (p, _) = probabilities::<B>(q, k, &padding, spans);
    let p = times::<B>(p, kept::<B>(spans, padding.longest, &device).as_ref());
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
    let padding = Padding::<B>::of(spans, q.shape()[0], &device);
    let [q, grad] = [q, grad].map(|x| padding.pad(x, spans.heads));
    let [k, v] = [k, v].map(|x| shared::<B>(padding.pad(x, spans.kv_heads), spans.heads));
    let (p, tangent) = probabilities::<B>(q.clone(), k.clone(), &padding, spans);
    let factors = kept::<B>(spans, padding.longest, &device);

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
