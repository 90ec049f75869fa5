//! Attention on the CPU: a span and a key head at a time, in parallel.
//!
//! Queries are taken in blocks. A block's scores, `[block, keys]`, live in memory that
//! stays in the cache; no `[seq, seq]` is made, and the backward pass computes the
//! probabilities again from queries and keys. Queries, keys and values are read where the
//! projections put them, heads side by side. A key head and all query heads of its
//! group are one piece of work, so the group's gradients of keys and values are added in
//! one order, whatever the number of threads.
//!
//! Price: the backward pass multiplies five matrices a block where one that keeps
//! the probabilities multiplies four. Spans times key heads is all there is to do in parallel.

use std::ops::Range;

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use rayon::prelude::*;
use retune_tensor::wide::{exp, largest, sum, tanh};

use super::block_product::{LANES, Left, Matrix, Right, multiply, turn};
use super::flat::{Flat, zeros};
use super::heads::{Rows, Target};
use super::spans::Spans;

/// Queries of a block.
const BLOCK: usize = 32;

/// The score of a key that is not seen: its exponential is zero.
const HIDDEN: f32 = -1e30;

/// Working memory of a thread.
#[derive(Default)]
struct Scratch {
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    capped: Vec<f32>,
    slopes: Vec<f32>,
    mask: Vec<f32>,
    key_grad: Vec<f32>,
    value_grad: Vec<f32>,
}

/// Probabilities times values: `[tokens, heads * width]`.
pub(super) fn forward(q: Flat, k: Flat, v: Flat, spans: &Spans) -> Flat {
    let (tokens, width) = (q.shape()[0], q.shape()[1] / spans.heads);
    let mut out = zeros(Shape::new([tokens, spans.heads * width]));
    let target = Target::new(&mut out);
    let (q, k, v) = (Rows::new(q), Rows::new(k), Rows::new(v));
    pieces(spans).for_each_init(Scratch::default, |scratch, (index, kv_head)| {
        let span = &spans.spans[index];
        let piece = Piece { spans, index, kv_head, width };
        dispatch_forward(&piece, [&q, &k, &v].map(|rows| (rows, span)), &target, scratch);
    });
    out
}

/// Gradients for queries, keys and values.
pub(super) fn backward(q: Flat, k: Flat, v: Flat, grad: Flat, spans: &Spans) -> (Flat, Flat, Flat) {
    let width = q.shape()[1] / spans.heads;
    let (mut q_grad, mut k_grad, mut v_grad) = (zeros(q.shape()), zeros(k.shape()), zeros(v.shape()));
    let targets = [Target::new(&mut q_grad), Target::new(&mut k_grad), Target::new(&mut v_grad)];
    let (q, k, v, grad) = (Rows::new(q), Rows::new(k), Rows::new(v), Rows::new(grad));
    pieces(spans).for_each_init(Scratch::default, |scratch, (index, kv_head)| {
        let span = &spans.spans[index];
        let piece = Piece { spans, index, kv_head, width };
        dispatch_backward(&piece, [&q, &k, &v, &grad].map(|rows| (rows, span)), &targets, scratch);
    });
    (q_grad, k_grad, v_grad)
}

/// Every key head of every span.
fn pieces(spans: &Spans) -> impl ParallelIterator<Item = (usize, usize)> {
    let heads = spans.kv_heads;
    (0..spans.spans.len() * heads)
        .into_par_iter()
        .map(move |piece| (piece / heads, piece % heads))
        .filter(|(span, _)| !spans.spans[*span].is_empty())
}

/// A span, a key head and the query heads that share it.
struct Piece<'a> {
    spans: &'a Spans,
    index: usize,
    kv_head: usize,
    width: usize,
}

type Source<'a> = (&'a Rows, &'a Range<usize>);

fn dispatch_forward(piece: &Piece, sources: [Source; 3], out: &Target, scratch: &mut Scratch) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn fast(piece: &Piece, sources: [Source; 3], out: &Target, scratch: &mut Scratch) {
            piece.forward::<true>(sources, out, scratch);
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has been asked.
            return unsafe { fast(piece, sources, out, scratch) };
        }
    }
    piece.forward::<false>(sources, out, scratch);
}

fn dispatch_backward(piece: &Piece, sources: [Source; 4], targets: &[Target; 3], scratch: &mut Scratch) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn fast(piece: &Piece, sources: [Source; 4], targets: &[Target; 3], scratch: &mut Scratch) {
            piece.backward::<true>(sources, targets, scratch);
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has been asked.
            return unsafe { fast(piece, sources, targets, scratch) };
        }
    }
    piece.backward::<false>(sources, targets, scratch);
}

impl Piece<'_> {
    fn heads(&self) -> Range<usize> {
        let group = self.spans.heads / self.spans.kv_heads;
        self.kv_head * group..(self.kv_head + 1) * group
    }

    /// Blocks of queries, and the keys that each sees; these begin at a multiple of `LANES`.
    fn blocks(&self, length: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let pattern = self.spans.pattern;
        (0..length.div_ceil(BLOCK)).map(move |block| {
            let queries = block * BLOCK..((block + 1) * BLOCK).min(length);
            let seen = pattern.seen(queries.start, queries.end, length);
            (queries, seen.start / LANES * LANES..seen.end)
        })
    }

    #[inline(always)]
    fn forward<const FMA: bool>(&self, [q, k, v]: [Source; 3], out: &Target, scratch: &mut Scratch) {
        let (width, span) = (self.width, q.1);
        let (k, v) = (k.0.head(span, self.kv_head, width), v.0.head(span, self.kv_head, width));
        turn(k, span.len(), width, &mut scratch.keys);
        for head in self.heads() {
            let q = q.0.head(span, head, width);
            for (queries, keys) in self.blocks(span.len()) {
                let line = keys.len().next_multiple_of(LANES);
                self.probabilities::<FMA>(q, head, &queries, &keys, span.len(), scratch, true);
                let target = out.head(span.start + queries.start, head, width);
                // SAFETY: the span's rows of this head belong to this piece; `scores` and the
                // values hold what is read.
                unsafe {
                    multiply::<FMA, false>(
                        Left { data: scratch.scores.as_ptr(), row: line, column: 1 },
                        Right { data: v.rows_from(keys.start).data.as_ptr(), row: v.stride, panel: LANES },
                        (target, out.stride),
                        [queries.len(), keys.len(), width],
                    );
                }
            }
        }
    }

    #[inline(always)]
    fn backward<const FMA: bool>(&self, [q, k, v, grad]: [Source; 4], targets: &[Target; 3], scratch: &mut Scratch) {
        let (width, span) = (self.width, q.1);
        let length = span.len();
        let (k, v) = (k.0.head(span, self.kv_head, width), v.0.head(span, self.kv_head, width));
        turn(k, length, width, &mut scratch.keys);
        turn(v, length, width, &mut scratch.values);
        for sums in [&mut scratch.key_grad, &mut scratch.value_grad] {
            sums.clear();
            sums.resize(length * width, 0.0);
        }
        for head in self.heads() {
            let (q, grad) = (q.0.head(span, head, width), grad.0.head(span, head, width));
            for (queries, keys) in self.blocks(length) {
                let line = keys.len().next_multiple_of(LANES);
                self.probabilities::<FMA>(q, head, &queries, &keys, length, scratch, false);
                let (q, grad) = (q.rows_from(queries.start), grad.rows_from(queries.start));
                let panel = keys.start / LANES * width * LANES;
                scratch.slopes.resize(queries.len() * line, 0.0);
                // SAFETY: as in `forward`; `key_grad` and `value_grad` are `[length, width]`.
                unsafe {
                    multiply::<FMA, false>(
                        Left { data: grad.data.as_ptr(), row: grad.stride, column: 1 },
                        Right { data: scratch.values[panel..].as_ptr(), row: LANES, panel: LANES * width },
                        (scratch.slopes.as_mut_ptr(), line),
                        [queries.len(), width, line],
                    );
                }
                self.slopes(head, &queries, &keys, line, scratch);
                let transposed = |data: &[f32]| Left { data: data.as_ptr(), row: 1, column: line };
                let at = keys.start * width;
                // SAFETY: as above.
                unsafe {
                    multiply::<FMA, true>(
                        transposed(&scratch.scores),
                        Right { data: grad.data.as_ptr(), row: grad.stride, panel: LANES },
                        (scratch.value_grad[at..].as_mut_ptr(), width),
                        [keys.len(), queries.len(), width],
                    );
                    multiply::<FMA, true>(
                        transposed(&scratch.slopes),
                        Right { data: q.data.as_ptr(), row: q.stride, panel: LANES },
                        (scratch.key_grad[at..].as_mut_ptr(), width),
                        [keys.len(), queries.len(), width],
                    );
                    multiply::<FMA, false>(
                        Left { data: scratch.slopes.as_ptr(), row: line, column: 1 },
                        Right { data: k.rows_from(keys.start).data.as_ptr(), row: k.stride, panel: LANES },
                        (targets[0].head(span.start + queries.start, head, width), targets[0].stride),
                        [queries.len(), keys.len(), width],
                    );
                }
            }
        }
        for (target, sums) in targets[1..].iter().zip([&scratch.key_grad, &scratch.value_grad]) {
            for (row, sums) in span.clone().zip(sums.chunks_exact(width)) {
                let to = target.head(row, self.kv_head, width);
                // SAFETY: the span's rows of this head belong to this piece.
                unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), to, width) };
            }
        }
    }

    /// Probabilities of a block into `scores`, `[queries, keys to a multiple of LANES]`, with
    /// dropout when `dropped`; zero where a query sees nothing. With a soft-cap, `capped` keeps the capped scores.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "a block of one head, and where it goes")]
    fn probabilities<const FMA: bool>(
        &self,
        q: Matrix,
        head: usize,
        queries: &Range<usize>,
        keys: &Range<usize>,
        length: usize,
        scratch: &mut Scratch,
        dropped: bool,
    ) {
        let (spans, width) = (self.spans, self.width);
        let line = keys.len().next_multiple_of(LANES);
        let Scratch { keys: turned, scores, capped, mask, .. } = scratch;
        scores.resize(queries.len() * line, 0.0);
        let q = q.rows_from(queries.start);
        // SAFETY: `turned` has every panel of the span, `scores` a multiple of `LANES` columns.
        unsafe {
            multiply::<FMA, false>(
                Left { data: q.data.as_ptr(), row: q.stride, column: 1 },
                Right { data: turned[keys.start / LANES * width * LANES..].as_ptr(), row: LANES, panel: LANES * width },
                (scores.as_mut_ptr(), line),
                [queries.len(), width, line],
            );
        }
        if spans.soft_cap.is_some() {
            capped.resize(scores.len(), 0.0);
        }
        for (query, row) in queries.clone().zip(scores.chunks_exact_mut(line)) {
            let seen = spans.pattern.seen(query, query + 1, length);
            match spans.soft_cap {
                Some(cap) => {
                    let capped = &mut capped[(query - queries.start) * line..][..line];
                    for (score, capped) in row.iter_mut().zip(capped) {
                        *score = cap * tanh(*score * spans.scale / cap);
                        *capped = *score;
                    }
                }
                None => row.iter_mut().for_each(|score| *score *= spans.scale),
            }
            row[..seen.start - keys.start].fill(HIDDEN);
            row[seen.end - keys.start..].fill(HIDDEN);
            softmax(row);
            if let Some(dropout) = spans.dropout.as_ref().filter(|_| dropped) {
                mask.resize(line, 0.0);
                dropout.rate.fill(dropout.stream(self.index, head, query), (keys.start / 4) as u64, mask);
                row.iter_mut().zip(&*mask).for_each(|(p, kept)| *p *= kept);
            }
        }
    }

    /// From the gradients of the dropped probabilities, in `slopes`, to those of the
    /// unscaled scores; `scores` becomes the dropped probabilities.
    #[inline(always)]
    fn slopes(&self, head: usize, queries: &Range<usize>, keys: &Range<usize>, line: usize, scratch: &mut Scratch) {
        let spans = self.spans;
        let Scratch { scores, slopes, capped, mask, .. } = scratch;
        let rows = scores.chunks_exact_mut(line).zip(slopes.chunks_exact_mut(line));
        for (query, (scores, slopes)) in queries.clone().zip(rows) {
            let kept = spans.dropout.as_ref().map(|dropout| {
                mask.resize(line, 0.0);
                dropout.rate.fill(dropout.stream(self.index, head, query), (keys.start / 4) as u64, mask);
                &*mask
            });
            if let Some(kept) = kept {
                slopes.iter_mut().zip(kept).for_each(|(slope, kept)| *slope *= kept);
            }
            let along = sum(scores.len(), |i| scores[i] * slopes[i]);
            for (slope, p) in slopes.iter_mut().zip(&*scores) {
                *slope = *p * (*slope - along) * spans.scale;
            }
            if let Some(cap) = spans.soft_cap {
                let capped = &capped[(query - queries.start) * line..][..line];
                for (slope, capped) in slopes.iter_mut().zip(capped) {
                    let tanh = capped / cap;
                    *slope *= 1.0 - tanh * tanh;
                }
            }
            if let Some(kept) = kept {
                scores.iter_mut().zip(kept).for_each(|(p, kept)| *p *= kept);
            }
        }
    }
}

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let most = largest(row);
    row.iter_mut().for_each(|value| *value = exp(*value - most));
    let inverse = 1.0 / sum(row.len(), |i| row[i]);
    row.iter_mut().for_each(|value| *value *= inverse);
}
