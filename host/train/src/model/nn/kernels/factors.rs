//! Dropout factors as tensor operations: the numbers that the CPU draws, made on the device that multiplies by them.
//!
//! A factor is a comparison of 16 bits of a 64-bit draw, and a draw is splitmix64's finaliser of a counter (see
//! [`crate::model::mask`] and [`retune_tensor::random`]). Backends have unsigned 64-bit integers that wrap and shift as
//! the CPU's do, so the masks are the same to the bit. For `[lines, width]` factors:
//!
//! | | a mask made on the host | here |
//! |---|---|---|
//! | drawn on the host | `lines * width` | nothing |
//! | sent to the device | 4 bytes a factor | 8 bytes a line, 2 a column; attention sends 8 a span, 8 a head and query, 2 a key |
//! | kernels | 1 | 14, and 9 small ones for attention's lines |
//! | device memory read and written | 4 bytes a factor | 40 a factor for the draws, 32 to make factors of them |
//!
//! Price: the 72 bytes, about 25 picoseconds a factor at 3 TB/s, where drawing on the host took a quarter of a nanosecond and
//! sending more than a tenth; and for a moment 8 bytes a factor, beside the 4 of the factors. They are made again
//! for the backward pass, so that none is kept.

use burn::backend::tensor::{Device, FloatTensor, IntTensor};
use burn::backend::{Backend, get_device_settings};
use burn::tensor::{FloatDType, Scalar, Shape, Slice, TensorData};
use retune_tensor::random::{GOLDEN, LAST_SHIFT, ROUNDS};
use retune_tensor::transfer;

use super::spans::{Dropped, DroppedLines};
use crate::model::mask::Rate;

/// Factors of hidden states, `[lines, width]`.
pub(super) fn of_lines<B: Backend>(dropout: &DroppedLines, width: usize, device: &Device<B>) -> FloatTensor<B> {
    let streams: Vec<u64> = (0..dropout.places.len()).map(|line| dropout.stream(line)).collect();
    let lines = streams.len();
    of_streams::<B>(words::<B>(streams, &[lines, 1], device), [lines, width], dropout.rate, device)
}

/// Factors of the probabilities of spans that are padded to `longest`, `[spans, heads, longest, longest]`. Those on padding
/// mean nothing.
pub(super) fn of_probabilities<B: Backend>(
    dropout: &Dropped,
    heads: usize,
    longest: usize,
    device: &Device<B>,
) -> FloatTensor<B> {
    let spans = dropout.seeds.len();
    let seeds = words::<B>(dropout.seeds.to_vec(), &[spans, 1], device);
    let places = (0..heads).flat_map(|head| (0..longest).map(move |query| dropout.place(head, query)));
    let places = words::<B>(places.collect(), &[1, heads * longest], device);
    // `mask::stream`: the seed and the place, mixed.
    let streams = B::int_add_scalar(B::bitwise_xor(seeds, places), Scalar::UInt(GOLDEN));
    let lines = spans * heads * longest;
    let streams = B::int_reshape(finish::<B>(streams), Shape::new([lines, 1]));
    let factors = of_streams::<B>(streams, [lines, longest], dropout.rate, device);
    B::float_reshape(factors, Shape::new([spans, heads, longest, longest]))
}

/// What [`Rate::fill`] fills lines with, from each one's stream `[lines, 1]`.
fn of_streams<B: Backend>(
    streams: IntTensor<B>,
    [lines, width]: [usize; 2],
    rate: Rate,
    device: &Device<B>,
) -> FloatTensor<B> {
    let draws = width.div_ceil(4);
    // The counter's step, and the one with which `mix` begins.
    let steps = (1..=draws as u64).map(|step| step.wrapping_mul(GOLDEN)).collect();
    let drawn = finish::<B>(B::int_add(streams, words::<B>(steps, &[1, draws], device)));
    // Each lane of 16 bits in turn to the top of the word, where what is below it does not matter.
    let lanes = words::<B>(vec![48, 32, 16, 0], &[1, 1, 4], device);
    let lanes = B::bitwise_left_shift(B::int_reshape(drawn, Shape::new([lines, draws, 1])), lanes);
    let store = get_device_settings::<B>(device).bool_dtype;
    let kept = B::int_greater_equal_elem(lanes, Scalar::UInt(rate.dropped() << 48), store);
    let factors = B::float_mul_scalar(B::bool_into_float(kept, FloatDType::F32), Scalar::Float(rate.kept().into()));
    let factors = B::float_reshape(factors, Shape::new([lines, 4 * draws]));
    if width == 4 * draws {
        return factors;
    }
    B::float_slice(factors, &[Slice::from(0..lines), Slice::from(0..width)])
}

/// splitmix64 after its step: [`mix`](retune_tensor::random::mix) of `z - GOLDEN`.
fn finish<B: Backend>(z: IntTensor<B>) -> IntTensor<B> {
    let fold = |z: IntTensor<B>, shift: u32| {
        B::bitwise_xor(z.clone(), B::bitwise_right_shift_scalar(z, Scalar::UInt(shift.into())))
    };
    let z = ROUNDS.iter().fold(z, |z, (shift, factor)| B::int_mul_scalar(fold(z, *shift), Scalar::UInt(*factor)));
    fold(z, LAST_SHIFT)
}

fn words<B: Backend>(values: Vec<u64>, shape: &[usize], device: &Device<B>) -> IntTensor<B> {
    transfer::sent::<u64>(values.len());
    B::int_from_data(TensorData::new(values, shape.to_vec()), device)
}
