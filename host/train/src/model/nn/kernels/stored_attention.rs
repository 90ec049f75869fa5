//! Attention of new tokens to all tokens of their document: those whose keys and values are stored, and themselves.
//!
//! Documents that begin now go through [`attention`](super::attention) like a batch of training. Where tokens are stored, a new one reads
//! each stored key and value once for all query heads that share it, which is what its time goes to. Other devices
//! run burn's operations, document by document.

use std::ops::Range;

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use retune_tensor::device::{is_host, portable};
use retune_tensor::transfer;
use retune_tensor::wide::{exp, largest, sum, tanh};

use super::spans::Spans;
use super::stored::{Data, Stored};

/// Floats of keys and values that are worth a second thread.
const PIECE: usize = 64 * 1024;

/// What is added where a query may not look.
const HIDDEN: f32 = -1e9;

/// Attends as [`Spans`] says, `stored[i]` standing before span `i`, and stores the new keys and values. `q`: `[tokens, heads * width]`,
/// `k` and `v`: `[tokens, kv_heads * width]`; gives `[tokens, heads * width]`. Dropout is not for this.
pub(in crate::model) fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    spans: Spans,
    stored: &mut [&mut Stored],
) -> Tensor<2> {
    let on_host = is_host(&q.device()) && !portable();
    let fresh = stored.iter().all(|stored| stored.len() == 0);
    let [tokens, features] = q.dims();
    let width = features / spans.heads;
    if !on_host {
        for (span, stored) in spans.spans.iter().zip(stored.iter_mut()) {
            stored.push_device([&k, &v].map(|x| x.clone().narrow(0, span.start, span.len())));
        }
        if fresh {
            return super::attention(q, k, v, spans);
        }
        let each = spans.spans.iter().zip(stored.iter());
        let parts = each.map(|(span, stored)| composed(q.clone().narrow(0, span.start, span.len()), &spans, stored));
        return Tensor::cat(parts.collect(), 0);
    }
    let [new_keys, new_values] = [&k, &v].map(|x| floats(x.clone()));
    let line = spans.kv_heads * width;
    for (span, stored) in spans.spans.iter().zip(stored.iter_mut()) {
        let rows = span.start * line..span.end * line;
        stored.push_host([&new_keys[rows.clone()], &new_values[rows]], line);
    }
    if fresh {
        return super::attention(q, k, v, spans);
    }
    let device = q.device();
    let out = on_the_cpu(&floats(q), width, &spans, stored);
    Tensor::from_data(TensorData::new(out, [tokens, features]), &device)
}

fn floats(x: Tensor<2>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap_or_else(|error| unreachable!("float32 values: {error:?}"))
}

/// The query heads of a key head at one token, and what they see.
struct Piece<'a> {
    /// `[heads of the group, width]`.
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    /// Floats of a row of keys, and where the head begins in it.
    line: usize,
    start: usize,
    width: usize,
    seen: Range<usize>,
    scale: f32,
    soft_cap: Option<f32>,
}

/// `[tokens, heads * width]` of queries.
fn on_the_cpu(q: &[f32], width: usize, spans: &Spans, stored: &[&mut Stored]) -> Vec<f32> {
    let (heads, kv_heads) = (spans.heads, spans.kv_heads);
    let (group, line) = (heads / kv_heads * width, kv_heads * width);
    let mut pieces = Vec::with_capacity(q.len() / group.max(1));
    for (span, stored) in spans.spans.iter().zip(stored) {
        let Data::Host([keys, values]) = stored.data() else { continue };
        let first = stored.len() - span.len();
        for (token, place) in span.clone().zip(first..) {
            let seen = spans.pattern.seen(place, place + 1, stored.len());
            pieces.extend((0..kv_heads).map(|head| Piece {
                queries: &q[(token * kv_heads + head) * group..][..group],
                keys,
                values,
                line,
                start: head * width,
                width,
                seen: seen.clone(),
                scale: spans.scale,
                soft_cap: spans.soft_cap,
            }));
        }
    }
    // Pieces are in the order of tokens and key heads, which is that of the result.
    let mut out = vec![0.0f32; q.len()];
    let work: usize = pieces.iter().map(|piece| 2 * piece.seen.len() * width).sum();
    let together = (PIECE * pieces.len()).div_ceil(work.max(1)).max(1);
    let each = out.par_chunks_mut(group.max(1)).zip(pieces.par_iter()).with_min_len(together);
    each.for_each_init(Vec::new, |scores, (out, piece)| attend(piece, scores, out));
    out
}

retune_tensor::wide! {
    fn attend(piece: &Piece, scores: &mut Vec<f32>, out: &mut [f32]) {
        let (width, count) = (piece.width, piece.seen.len());
        let heads = piece.queries.len() / width;
        scores.clear();
        scores.resize(heads * count, 0.0);
        for (place, key) in piece.seen.clone().enumerate() {
            let key = &piece.keys[key * piece.line + piece.start..][..width];
            for (head, query) in piece.queries.chunks_exact(width).enumerate() {
                scores[head * count + place] = piece.scale * sum(width, |i| query[i] * key[i]);
            }
        }
        for row in scores.chunks_exact_mut(count.max(1)) {
            if let Some(cap) = piece.soft_cap {
                row.iter_mut().for_each(|score| *score = cap * tanh(*score / cap));
            }
            let most = largest(row);
            row.iter_mut().for_each(|score| *score = exp(*score - most));
            let inverse = 1.0 / sum(row.len(), |i| row[i]);
            row.iter_mut().for_each(|score| *score *= inverse);
        }
        for (place, key) in piece.seen.clone().enumerate() {
            let value = &piece.values[key * piece.line + piece.start..][..width];
            for (head, out) in out.chunks_exact_mut(width).enumerate() {
                let p = scores[head * count + place];
                out.iter_mut().zip(value).for_each(|(out, value)| *out += p * value);
            }
        }
    }
}

/// One document as burn's operations: `[new tokens, heads * width]`.
fn composed(q: Tensor<2>, spans: &Spans, stored: &Stored) -> Tensor<2> {
    let Data::Device(both) = stored.data() else { unreachable!("rows were stored on this device") };
    let (heads, kv_heads) = (spans.heads, spans.kv_heads);
    let [count, features] = q.dims();
    let (width, group, total) = (features / heads, heads / kv_heads, stored.len());
    let first = total - count;
    let seen = spans.pattern.seen(first, total, total);
    let [keys, values] = both.each_ref().map(|rows| {
        let rows = rows.clone().narrow(0, seen.start, seen.len());
        rows.reshape([seen.len(), kv_heads, width]).swap_dims(0, 1)
    });
    let q = q.reshape([count, kv_heads, group, width]).permute([1, 2, 0, 3]).reshape([kv_heads, group * count, width]);
    let mut scores = q.matmul(keys.swap_dims(1, 2)) * spans.scale;
    if let Some(cap) = spans.soft_cap {
        scores = (scores / cap).tanh() * cap;
    }
    if count > 1 {
        scores = scores + hidden(spans, first, count, &seen, &values.device()).repeat_dim(1, group);
    }
    let out = softmax(scores, 2).matmul(values);
    out.reshape([kv_heads, group, count, width]).permute([2, 0, 1, 3]).reshape([count, features])
}

/// `[1, new tokens, seen]`: zero where a query looks.
fn hidden(spans: &Spans, first: usize, count: usize, seen: &Range<usize>, device: &retune_tensor::Device) -> Tensor<3> {
    let mut mask = vec![HIDDEN; count * seen.len()];
    for (query, row) in mask.chunks_exact_mut(seen.len()).enumerate() {
        let looks = spans.pattern.seen(first + query, first + query + 1, first + count);
        row[looks.start - seen.start..looks.end - seen.start].fill(0.0);
    }
    transfer::sent::<f32>(mask.len());
    Tensor::from_data(TensorData::new(mask, [1, count, seen.len()]), device)
}
