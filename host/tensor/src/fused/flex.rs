//! Scores on the CPU in float32: rows in parallel, a head's logits in tiles.
//!
//! Price: a tile, three numbers per row, and in backward one more product
//! than a head needs that keeps its logits.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, TensorData};
use rayon::prelude::*;

use super::fold::{Fold, Slope};
use super::score::{
    Head, IGNORED, Rows, Score, Stats, composed_backward, composed_forward, composed_head_backward,
    composed_head_forward,
};
use super::tiles::{GRAIN, Plain, elements, head_gradients, lines, tensor};
use crate::portable::portable;
use crate::product::{Matrix, product};

/// Rows that carry a gradient, and what is known of each.
fn slopes(stats: &Stats<Flex>, class: &[i64], upstream: &[f32]) -> Vec<(usize, Slope)> {
    let [y, max, log_sum] = stats.each_ref().map(|part| elements!(part, f32));
    let all = class.iter().zip(upstream).enumerate();
    all.filter(|(_, (class, upstream))| **class != IGNORED && **upstream != 0.0)
        .map(|(i, (class, upstream))| {
            (i, Slope { stats: [y[i], max[i], log_sum[i]], class: *class, upstream: *upstream })
        })
        .collect()
}

/// `y`, `m` and `s` as columns.
fn columns(rows: &[[f32; 3]]) -> Stats<Flex> {
    [0, 1, 2].map(|part| tensor(rows.iter().map(|row| row[part]).collect(), [rows.len(), 1]))
}

/// Whether the loops here are for these tensors; the composed formulas are for all.
fn is_plain(tensors: &[&FlexTensor]) -> bool {
    !portable() && tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The same of a head, whose weight may be kept in bfloat16.
fn is_plain_head(head: &Head<Flex>) -> bool {
    is_plain(&[&head.hidden, &head.bias]) && matches!(head.weight.dtype(), DType::F32 | DType::BF16)
}

fn contiguous(head: Head<Flex>) -> Head<Flex> {
    Head {
        hidden: head.hidden.to_contiguous(),
        weight: head.weight.to_contiguous(),
        bias: head.bias.to_contiguous(),
        cap: head.cap,
    }
}

impl Rows for Flex {
    fn row_forward(logits: FlexTensor, class: FlexTensor, score: Score) -> Stats<Self> {
        if !is_plain(&[&logits]) || class.dtype() != DType::I64 {
            return composed_forward::<Self>(logits, class, score);
        }
        let (logits, class) = (logits.to_contiguous(), class.to_contiguous());
        let (x, class) = (elements!(logits, f32), elements!(class, i64));
        let width = (x.len() / class.len().max(1)).max(1);
        let one = |(row, class): (&[f32], &i64)| {
            if *class == IGNORED {
                return [0.0; 3];
            }
            let mut fold = Fold::NOTHING;
            fold.take(row, 0, *class, score);
            fold.finish(width, score)
        };
        // Below the grain, waking another thread costs more than the work.
        let rows: Vec<[f32; 3]> = if x.len() <= GRAIN {
            x.chunks(width).zip(class).map(one).collect()
        } else {
            x.par_chunks(width).with_min_len(lines(width)).zip(class).map(one).collect()
        };
        columns(&rows)
    }

    fn row_backward(
        logits: FlexTensor,
        stats: Stats<Self>,
        class: FlexTensor,
        upstream: FlexTensor,
        score: Score,
    ) -> FlexTensor {
        if !is_plain(&[&logits, &upstream]) || class.dtype() != DType::I64 {
            return composed_backward::<Self>(logits, stats, class, upstream, score);
        }
        let (logits, class, upstream) = (logits.to_contiguous(), class.to_contiguous(), upstream.to_contiguous());
        let (x, class) = (elements!(logits, f32), elements!(class, i64));
        let width = (x.len() / class.len().max(1)).max(1);
        let mut slopes = slopes(&stats, class, elements!(upstream, f32)).into_iter().peekable();
        let mut gradient = vec![0f32; x.len()];
        let rows: Vec<(&mut [f32], &[f32], Slope)> = gradient
            .chunks_mut(width)
            .zip(x.chunks(width))
            .enumerate()
            .filter_map(|(i, (row, x))| Some((row, x, slopes.next_if(|(at, _)| *at == i)?.1)))
            .collect();
        let one = |(row, x, slope): (&mut [f32], &[f32], Slope)| {
            row.copy_from_slice(x);
            slope.apply(row, 0, width, 0.0, score);
        };
        if x.len() <= GRAIN {
            rows.into_iter().for_each(one);
        } else {
            rows.into_par_iter().with_min_len(lines(width)).for_each(one);
        }
        FlexTensor::from_data(TensorData::new(gradient, logits.shape()))
    }

    fn head_forward(head: Head<Self>, class: FlexTensor, score: Score) -> Stats<Self> {
        if !is_plain_head(&head) || class.dtype() != DType::I64 {
            return composed_head_forward::<Self>(&head, class, score);
        }
        let (head, class) = (contiguous(head), class.to_contiguous());
        let (plain, class) = (Plain::of(&head), elements!(class, i64));
        let mut folds = vec![Fold::NOTHING; class.len()];
        // On a thread of the pool, where going parallel wakes nobody who is awake.
        rayon::scope(|_| {
            plain.tiles(|rows, across, tile, _| {
                tile.par_chunks_mut(across.len())
                    .zip(folds[rows.clone()].par_iter_mut().zip(&class[rows]))
                    .with_min_len(lines(across.len()))
                    .for_each(|(row, (fold, class))| {
                        plain.complete(row, &across);
                        fold.take(row, across.start, *class, score);
                    });
            })
        });
        let finish = |(fold, class): (&Fold, &i64)| match *class {
            IGNORED => [0.0; 3],
            _ => fold.finish(plain.vocab, score),
        };
        columns(&folds.iter().zip(class).map(finish).collect::<Vec<_>>())
    }

    fn head_backward(
        head: Head<Self>,
        stats: Stats<Self>,
        class: FlexTensor,
        upstream: FlexTensor,
        score: Score,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let plain = is_plain_head(&head) && is_plain(&[&upstream]);
        if !plain || class.dtype() != DType::I64 {
            return composed_head_backward::<Self>(&head, stats, class, upstream, score, wanted);
        }
        let (head, class, upstream) = (contiguous(head), class.to_contiguous(), upstream.to_contiguous());
        let slopes = slopes(&stats, elements!(class, i64), elements!(upstream, f32));
        head_gradients(Plain::of(&head), &slopes, score, wanted)
    }

    /// As burn's own, into floats, whose memory the optimiser can take over.
    fn multiply(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        if !is_plain(&[&a, &b]) {
            return <Self as burn::backend::ops::FloatTensorOps<Self>>::float_matmul(a, b);
        }
        let ([m, k], [_, n]) = (a.shape().dims::<2>(), b.shape().dims::<2>());
        tensor(product([m, k, n], matrix(&a), matrix(&b)), [m, n])
    }
}

/// A matrix where it lies; the strides of a view of a parameter are never negative.
fn matrix(tensor: &FlexTensor) -> Matrix<'_> {
    let (layout, storage) = (tensor.layout(), tensor.storage::<f32>());
    let strides = layout.strides();
    Matrix {
        values: &storage[layout.start_offset()..],
        row: strides[0].unsigned_abs(),
        column: strides[1].unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::bf16;

    use super::super::tiles::{COLUMNS, ROWS};
    use super::*;

    fn wave(length: usize, step: f32, height: f32) -> Vec<f32> {
        (0..length).map(|i| (i as f32 * step).sin() * height).collect()
    }

    fn classes(values: &[i64]) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]))
    }

    fn values(tensor: &FlexTensor) -> Vec<f32> {
        let tensor = tensor.to_contiguous();
        elements!(tensor, f32).to_vec()
    }

    #[track_caller]
    fn near(what: &str, found: &FlexTensor, expected: &FlexTensor, tolerance: f32) {
        assert_eq!(found.shape(), expected.shape(), "{what}");
        let (found, expected) = (values(found), values(expected));
        let most = expected.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
        for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
            assert!((f - e).abs() <= tolerance * most, "{what} at {i}: {f} is not {e}");
        }
    }

    const ALL: [Score; 3] = [Score::Label, Score::Mean, Score::Entropy];

    #[test]
    fn rows_give_what_the_composed_formulas_give() {
        let x = tensor(wave(35, 1.3, 4.0), [5, 7]);
        let class = classes(&[3, -1, 0, 6, -1]);
        let upstream = tensor(vec![0.5, 2.0, -1.0, 1.0, 0.0], [5, 1]);
        for score in ALL {
            let fast = Flex::row_forward(x.clone(), class.clone(), score);
            let plain = composed_forward::<Flex>(x.clone(), class.clone(), score);
            near(&format!("{score:?}"), &fast[0], &plain[0], 1e-6);
            let fast = Flex::row_backward(x.clone(), fast, class.clone(), upstream.clone(), score);
            let plain = composed_backward::<Flex>(x.clone(), plain, class.clone(), upstream.clone(), score);
            near(&format!("gradient of {score:?}"), &fast, &plain, 1e-6);
            assert_eq!(values(&fast)[7..14], [0.0; 7]);
        }
    }

    #[test]
    fn tiles_give_what_the_composed_formulas_give_wherever_they_are_cut() {
        for (rows, vocab, bias, cap) in
            [(3, 5, false, 0.0), (ROWS + 7, COLUMNS + 3, true, 0.0), (9, 2 * COLUMNS, true, 5.0), (2, 40, false, 3.0)]
        {
            let width = 6;
            let head = Head {
                hidden: tensor(wave(rows * width, 0.7, 1.5), [rows, width]),
                weight: tensor(wave(vocab * width, 0.31, 1.0), [vocab, width]),
                bias: if bias { tensor(wave(vocab, 1.1, 2.0), [vocab]) } else { tensor(Vec::new(), [0]) },
                cap,
            };
            let class: Vec<i64> =
                (0..rows).map(|i| if i % 4 == 1 { IGNORED } else { (i * 997 % vocab) as i64 }).collect();
            let class = classes(&class);
            let upstream =
                tensor((0..rows).map(|i| if i % 5 == 2 { 0.0 } else { i as f32 - 2.5 }).collect(), [rows, 1]);
            for score in ALL {
                let what = format!("{score:?} of {rows} x {vocab}");
                let fast = Flex::head_forward(head.clone(), class.clone(), score);
                let plain = composed_head_forward::<Flex>(&head, class.clone(), score);
                near(&what, &fast[0], &plain[0], 2e-6);
                let wanted = [true; 3];
                let fast = Flex::head_backward(head.clone(), fast, class.clone(), upstream.clone(), score, wanted);
                let plain =
                    composed_head_backward::<Flex>(&head, plain, class.clone(), upstream.clone(), score, wanted);
                for (name, (fast, plain)) in ["hidden", "weight", "bias"].iter().zip(fast.iter().zip(&plain)) {
                    if *name != "bias" || bias {
                        near(
                            &format!("{name} gradient of {what}"),
                            fast.as_ref().unwrap(),
                            plain.as_ref().unwrap(),
                            5e-6,
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_weight_that_is_kept_in_bfloat16_gives_the_bits_of_the_wide_one() {
        let (rows, vocab, width) = (9, COLUMNS + 3, 6);
        let rounded: Vec<f32> =
            wave(vocab * width, 0.31, 1.0).into_iter().map(|x| bf16::from_f32(x).to_f32()).collect();
        let wide: Head<Flex> = Head {
            hidden: tensor(wave(rows * width, 0.7, 1.5), [rows, width]),
            weight: tensor(rounded, [vocab, width]),
            bias: tensor(Vec::new(), [0]),
            cap: 0.0,
        };
        let cast = <Flex as burn::backend::ops::FloatTensorOps<Flex>>::float_cast(
            wide.weight.clone(),
            burn::tensor::FloatDType::BF16,
        );
        let narrow = Head { weight: cast, ..wide.clone() };
        let class = classes(&(0..rows).map(|i| (i * 997 % vocab) as i64).collect::<Vec<_>>());
        let upstream = tensor(vec![-1.0; rows], [rows, 1]);
        let [wide, narrow] = [wide, narrow].map(|head| {
            let stats = Flex::head_forward(head.clone(), class.clone(), Score::Label);
            let y = values(&stats[0]);
            let wanted = [true, false, false];
            let [hidden, ..] = Flex::head_backward(head, stats, class.clone(), upstream.clone(), Score::Label, wanted);
            (y, values(&hidden.unwrap()))
        });
        assert_eq!(wide, narrow);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (rows, vocab, width) = (ROWS + 40, COLUMNS + 100, 32);
        let head = Head {
            hidden: tensor(wave(rows * width, 0.7, 1.5), [rows, width]),
            weight: tensor(wave(vocab * width, 0.31, 1.0), [vocab, width]),
            bias: tensor(Vec::new(), [0]),
            cap: 0.0,
        };
        let class = classes(&(0..rows).map(|i| (i * 997 % vocab) as i64).collect::<Vec<_>>());
        let upstream = tensor(vec![-1.0; rows], [rows, 1]);
        let run = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let stats = Flex::head_forward(head.clone(), class.clone(), Score::Label);
                let y = values(&stats[0]);
                let parts = Flex::head_backward(
                    head.clone(),
                    stats,
                    class.clone(),
                    upstream.clone(),
                    Score::Label,
                    [true, true, false],
                );
                (y, parts.map(|part| part.map(|part| values(&part))))
            })
        };
        let one = run(1);
        assert!([2, 3, 5].into_iter().all(|threads| run(threads) == one));
    }
}
