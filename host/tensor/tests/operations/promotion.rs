//! Which type comes out, and where sums are accumulated.

use retune_tensor::{Device, Dtype, cat, from_float32, full, fused};

use crate::{b, f, i};
use Dtype::{Bfloat16, Boolean, Float16, Float32, Float64, Int32, Int64, Uint8};

#[test]
fn arithmetic_happens_in_the_type_both_sides_meet_in() {
    let one = |dtype| full(&[2], 1.0, dtype, &Device::flex()).unwrap();
    for (l, r, meet) in [
        (Float32, Float64, Float64),
        (Float16, Bfloat16, Float32),
        (Bfloat16, Bfloat16, Bfloat16),
        (Int64, Float16, Float16),
        (Uint8, Int32, Int32),
        (Int32, Int64, Int64),
    ] {
        for (l, r) in [(l, r), (r, l)] {
            let sum = one(l).add(&one(r)).unwrap();
            assert_eq!((sum.dtype(), sum.to_float64().unwrap()), (meet, vec![2.0, 2.0]), "{l} + {r}");
            assert_eq!(cat(&[&one(l), &one(r)], 0).unwrap().dtype(), meet);
            assert_eq!(one(l).lt(&one(r)).unwrap().dtype(), Boolean);
        }
    }
}

#[test]
fn every_type_casts_to_every_other() {
    for from in Dtype::ALL {
        for to in Dtype::ALL {
            let out = full(&[3], 1.0, from, &Device::flex()).unwrap().cast(to).unwrap();
            assert_eq!((out.dtype(), out.to_float64().unwrap()), (to, vec![1.0; 3]), "{from} to {to}");
        }
    }
    assert_eq!(f(&[-1.9, 1.9, 0.2], &[3]).cast(Int64).unwrap().to_int64().unwrap(), [-1, 1, 0]);
    assert_eq!(f(&[-1.9, 1.9, 0.2], &[3]).to_int64().unwrap(), [-1, 1, 0]);
    assert_eq!(f(&[-1.9, 0.0, f64::NAN], &[3]).cast(Boolean).unwrap().to_int64().unwrap(), [1, 0, 1]);
}

#[test]
fn every_operation_works_in_sixteen_bits() {
    for dtype in [Float16, Bfloat16] {
        let x = f(&[0.5, -1.5, 2.0, 1.0], &[2, 2]).cast(dtype).unwrap();
        let results = [
            x.add(&x),
            x.div(&x),
            x.matmul(&x),
            x.exp(),
            x.abs(),
            x.erf(),
            x.gelu(),
            x.silu(),
            x.softplus(),
            x.tanh(),
            x.pow_scalar(2.0),
            x.clamp(Some(-1.0), Some(1.0)),
            x.maximum(&x),
            x.sum(&[0], false),
            x.mean(&[], true),
            x.max(&[1], false),
            x.variance(&[], false),
            x.log_sum_exp(&[0], false),
            x.l2_norm(&[], false),
            x.cum_sum(0),
            x.softmax(1),
            x.log_softmax(1),
            x.floor(),
            x.transpose(0, 1),
            x.flip(&[]),
            x.gather(1, &i(&[1, 0], &[2, 1])),
            x.masked_fill(&b(&[1, 0], &[2]), 0.0),
            x.sort(0, true).map(|s| s.0),
            x.top_k(1, 0).map(|s| s.0),
            x.index_select(0, &i(&[1], &[1])),
            x.repeat(0, 2),
            x.slice(0, 0, 1, 1),
            x.recip(),
            x.sign(),
            x.neg(),
        ];
        for (k, result) in results.into_iter().enumerate() {
            assert_eq!(result.unwrap_or_else(|error| panic!("{error}")).dtype(), dtype, "operation {k}");
        }
        assert_eq!(fused::entropy(&x).unwrap().dtype(), Float32);
    }
}

#[test]
fn sums_of_sixteen_bit_floats_do_not_stall() {
    // In bfloat16 256 + 1 is 256 again; a running sum would stop there.
    let ones = full(&[1000], 1.0, Bfloat16, &Device::flex()).unwrap();
    assert_eq!(ones.sum(&[], false).unwrap().item().unwrap(), 1000.0);
    assert_eq!(ones.mean(&[0], false).unwrap().item().unwrap(), 1.0);
    let bytes = full(&[300], 1.0, Uint8, &Device::flex()).unwrap();
    let sum = bytes.sum(&[], false).unwrap();
    assert_eq!((sum.dtype(), sum.item().unwrap()), (Int64, 300.0));
}

#[test]
fn labels_in_any_integer_type_serve_as_indices() {
    let logits = from_float32(vec![0.0, 1.0, 2.0, 3.0], &[2, 2], &Device::flex()).unwrap();
    for dtype in [Int64, Int32, Uint8] {
        let labels = i(&[1, 0], &[2]).cast(dtype).unwrap();
        assert_eq!(logits.gather(1, &labels.unsqueeze(1).unwrap()).unwrap().to_float32().unwrap(), [1.0, 2.0]);
        assert_eq!(logits.index_select(0, &labels).unwrap().to_float32().unwrap(), [2.0, 3.0, 0.0, 1.0]);
        assert_eq!(labels.one_hot(2).unwrap().dtype(), Int64);
        assert_eq!(fused::token_log_probs(&logits, &labels, -100).unwrap().shape(), [2]);
    }
}
