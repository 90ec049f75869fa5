//! Numbers worked by hand, or quoted from tables.

use crate::tensor::{Tensor, arange, cat, eye, from_float32, from_int64, full, normal, stack, uniform};
use crate::testing::assert_close;
use crate::{Dtype, fused};

fn floats(data: &[f32], shape: &[u32]) -> Tensor {
    from_float32(data, shape)
}

fn read(tensor: &Tensor) -> Vec<f32> {
    tensor.to_float32().unwrap()
}

/// `[[1, 2, 3], [4, 5, 6]]`.
fn matrix() -> Tensor {
    floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])
}

#[test]
fn reductions_run_over_the_dimensions_they_are_given() {
    let m = matrix();
    assert_eq!(read(&m.sum(&[0], false)), [5.0, 7.0, 9.0]);
    assert_eq!(read(&m.sum(&[-1], false)), [6.0, 15.0]);
    assert_eq!(m.sum(&[-1], true).shape(), [2, 1]);
    assert_eq!(m.sum(&[], false).shape(), [] as [u32; 0]);
    assert_eq!(m.mean(&[], false).item().unwrap(), 3.5);
    assert_eq!(read(&m.max(&[0], false)), [4.0, 5.0, 6.0]);
    assert_eq!(read(&m.min(&[1], false)), [1.0, 4.0]);
    assert_close(&read(&m.variance(&[1], false)), &[2.0 / 3.0, 2.0 / 3.0], 1e-6);
    assert_close(&read(&m.l2_norm(&[1], false)), &[14f64.sqrt(), 77f64.sqrt()], 1e-6);
    assert_eq!(read(&m.arg_max(1, false)), [2.0, 2.0]);
    assert_eq!(read(&m.arg_min(0, true)), [0.0, 0.0, 0.0]);
    assert_eq!(read(&m.cum_sum(1)), [1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
    assert_eq!(arange(0, 4, 1).cast(Dtype::Int32).sum(&[], false).dtype(), Dtype::Int64);
}

#[test]
fn huge_logits_neither_overflow_nor_vanish() {
    let row = floats(&[1000.0, 1000.0], &[2]);
    assert_close(&read(&row.log_softmax(0)), &[-std::f64::consts::LN_2; 2], 1e-6);
    assert_close(&[row.log_sum_exp(&[], false).item().unwrap() as f32], &[1000.0 + std::f64::consts::LN_2], 1e-3);
    assert_close(&read(&floats(&[-800.0, 800.0], &[2]).log_sigmoid()), &[-800.0, 0.0], 1e-6);
    assert_close(&read(&floats(&[-800.0, 800.0], &[2]).softplus()), &[0.0, 800.0], 1e-6);
}

/// The largest float32 is 3.4e38; e^89 is above it.
#[test]
fn what_float32_cannot_hold_is_infinite_and_float64_holds_it() {
    let x = floats(&[89.0, 88.0], &[2]);
    assert_eq!(read(&x.exp()), [f32::INFINITY, 88f64.exp() as f32]);
    assert!(x.cast(Dtype::Float64).exp().to_float32().unwrap()[0].is_infinite(), "read as float32");
    assert!(x.cast(Dtype::Float64).exp().sum(&[], false).item().unwrap().is_finite());
    let large = floats(&[3e38, 3e38, -3e38], &[3]);
    assert!(large.sum(&[], false).item().unwrap().is_infinite(), "partial sums are float32 too");
    assert!(large.mean(&[], false).item().unwrap().is_infinite());
    assert!(large.l2_norm(&[], false).item().unwrap().is_infinite());
    assert_eq!(floats(&[16_777_216.0, 1.0], &[2]).sum(&[], false).item().unwrap(), 16_777_216.0);
    assert_eq!(floats(&[0.1], &[1]).item().unwrap(), f64::from(0.1f32));
    assert_eq!(read(&floats(&[0.1], &[1]).eq_scalar(0.1).cast(Dtype::Float32)), [1.0], "a scalar is float32 as well");
}

/// Abramowitz and Stegun, table 7.1.
#[test]
fn erf_is_that_of_the_tables() {
    let x = floats(&[0.0, 0.5, 1.0, 2.0, -1.0, 4.0], &[6]);
    let expected = [0.0, 0.520_499_877_8, 0.842_700_792_9, 0.995_322_265_0, -0.842_700_792_9, 0.999_999_984_6];
    assert_close(&read(&x.erf()), &expected, 1e-7);
    assert_close(&read(&floats(&[1.0], &[1]).gelu()), &[0.841_344_746_1], 1e-7);
}

#[test]
fn elements_move_where_they_should() {
    let m = matrix();
    assert_eq!(read(&m.transpose(0, 1)), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(m.permute(&[1, 0]).shape(), [3, 2]);
    assert_eq!(m.reshape(&[-1, 2]).shape(), [3, 2]);
    assert_eq!(read(&m.slice(1, -2, 99, 1)), [2.0, 3.0, 5.0, 6.0]);
    assert_eq!(read(&m.slice(1, 0, 3, 2)), [1.0, 3.0, 4.0, 6.0]);
    assert_eq!(m.slice(0, 2, 1, 1).shape(), [0, 3]);
    assert_eq!(read(&m.flip(&[1])), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    assert_eq!(read(&m.repeat(0, 2).slice(0, 2, 4, 1)), read(&m));
    assert_eq!(read(&floats(&[1.0, 2.0], &[2, 1]).expand(&[3, -1, 2]).slice(0, 2, 3, 1)), [1.0, 1.0, 2.0, 2.0]);
    assert_eq!(m.unsqueeze(-1).shape(), [2, 3, 1]);
    assert_eq!(m.unsqueeze(0).squeeze(0).shape(), [2, 3]);
    assert_eq!(read(&cat(&[&m, &m], -1).slice(0, 1, 2, 1)), [4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
    assert_eq!(stack(&[&m, &m], 1).shape(), [2, 2, 3]);
    assert_eq!(read(&m.matmul(&eye(3, Dtype::Float32))), read(&m));
    assert_eq!(read(&m.matmul(&m.transpose(0, 1))), [14.0, 32.0, 32.0, 77.0]);
    assert_eq!(m.unsqueeze(0).matmul(&full(&[5, 3, 4], 1.0, Dtype::Float32)).shape(), [5, 2, 4]);
}

#[test]
fn elements_are_picked_by_index_and_condition() {
    let m = matrix();
    assert_eq!(read(&m.gather(1, &from_int64(&[2, 0], &[2, 1]))), [3.0, 4.0]);
    assert_eq!(read(&m.index_select(1, &from_int64(&[2, 2, 0], &[3]))), [3.0, 3.0, 1.0, 6.0, 6.0, 4.0]);
    let ones = full(&[2, 3], 1.0, Dtype::Float32);
    assert_eq!(
        read(&ones.scatter_add(1, &from_int64(&[0, 0, 1, 2, 2, 2], &[2, 3]), &m)),
        [4.0, 4.0, 1.0, 1.0, 1.0, 16.0]
    );
    assert_eq!(read(&m.gt_scalar(3.0).where_(&m, &full(&[], 0.0, Dtype::Float32))), [0.0, 0.0, 0.0, 4.0, 5.0, 6.0]);
    assert_eq!(read(&m.masked_fill(&m.lt_scalar(2.0), -1.0)), [-1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(read(&from_int64(&[1, 0], &[2]).one_hot(3)), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    let (values, places) = floats(&[3.0, 1.0, 2.0], &[3]).top_k(2, 0);
    assert_eq!((read(&values), read(&places)), (vec![3.0, 2.0], vec![0.0, 2.0]));
    let (values, places) = floats(&[3.0, 1.0, 2.0], &[3]).sort(0, false);
    assert_eq!((read(&values), read(&places)), (vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 0.0]));
    let counts = floats(&[-1.0, 0.0, 0.5, 1.5, 9.0], &[5]).histogram(2, 0.0, 2.0, None);
    assert_eq!(counts.to_int64().unwrap(), [3, 2]);
}

#[test]
fn types_meet_as_the_contract_says() {
    let of = |dtype| full(&[1], 3.0, dtype);
    use Dtype::{Bfloat16, Float16, Float32, Float64, Int32, Int64, Uint8};
    for (a, b, meet) in
        [(Bfloat16, Float16, Float32), (Float16, Int64, Float16), (Float32, Float64, Float64), (Uint8, Int32, Int32)]
    {
        assert_eq!(of(a).add(&of(b)).dtype(), meet);
        assert_eq!(of(b).add(&of(a)).dtype(), meet);
    }
    assert_eq!(of(Int64).mul_scalar(1.9).to_int64().unwrap(), [3], "a scalar is truncated to the tensor's type");
    assert_eq!(of(Int64).div(&full(&[1], 2.0, Int64)).to_int64().unwrap(), [1]);
    assert_eq!(floats(&[-1.7], &[1]).cast(Int64).to_int64().unwrap(), [-1]);
}

#[test]
fn fused_operations_are_their_definitions() {
    let logits = floats(&[1.0, 2.0, 3.0, 0.0, 0.0, 0.0], &[2, 3]);
    let labels = from_int64(&[2, -100], &[2]);
    let log_p = logits.log_softmax(-1);
    let total = (1f64.exp() + 2f64.exp() + 3f64.exp()).ln();
    assert_close(&read(&fused::token_log_probs(&logits, &labels, -100)), &[3.0 - total, 0.0], 1e-6);
    assert_close(&read(&fused::mean_log_probs(&logits)), &[2.0 - total, -(3f64.ln())], 1e-6);
    let entropy = -log_p.exp().mul(&log_p).sum(&[-1], false);
    assert_close(
        &read(&fused::entropy(&logits)),
        &read(&entropy).iter().map(|x| f64::from(*x)).collect::<Vec<_>>(),
        1e-6,
    );
    assert_close(&read(&fused::kl_div(&logits, &logits, 2.0, false)), &[0.0, 0.0], 1e-7);
    // Against an even guess, the divergence is log K less the entropy.
    let even = full(&[2, 3], 0.0, Dtype::Float32);
    let expected: Vec<f64> = read(&entropy).iter().map(|h| 3f64.ln() - f64::from(*h)).collect();
    assert_close(&read(&fused::kl_div(&even, &logits, 1.0, false)), &expected, 1e-6);
    assert_close(&read(&fused::kl_div(&logits, &even, 1.0, true)), &expected, 1e-6);
}

#[test]
fn chance_is_a_function_of_the_seed_and_has_the_moments_it_should() {
    let n = 4000;
    let (a, b) = (normal(&[n], 1.0, 2.0, 7), normal(&[n], 1.0, 2.0, 7));
    assert_eq!(read(&a), read(&b));
    assert_ne!(read(&a), read(&normal(&[n], 1.0, 2.0, 8)));
    // Four standard errors: 2 / sqrt(4000) and 4 * sqrt(2 / 4000).
    assert!((a.mean(&[], false).item().unwrap() - 1.0).abs() < 4.0 * 0.0317);
    assert!((a.variance(&[], false).item().unwrap() - 4.0).abs() < 4.0 * 0.0895);
    let u = uniform(&[n], -1.0, 3.0, 7);
    assert!(u.min(&[], false).item().unwrap() >= -1.0 && u.max(&[], false).item().unwrap() < 3.0);
    assert!((u.mean(&[], false).item().unwrap() - 1.0).abs() < 4.0 * 1.1547 / 63.2);
}

/// What the host would trap on panics with the operation's name.
macro_rules! violations {
    ($($name:ident: $text:literal, $body:expr;)+) => { $(
        #[test]
        #[should_panic(expected = $text)]
        fn $name() { let _ = $body; }
    )+ };
}

violations! {
    shapes_that_do_not_broadcast_are_refused: "`add`: shapes [2, 3] and [2] do not broadcast", matrix() + floats(&[1.0, 2.0], &[2]);
    a_label_that_was_not_masked_is_refused: "mask labels of -100", matrix().gather(1, &from_int64(&[-100, 0], &[2, 1]));
    a_dimension_that_is_not_there_is_refused: "dimension 2 is outside a tensor of rank 2", matrix().sum(&[2], false);
    booleans_take_no_part_in_arithmetic: "`mul`: wants numbers", matrix().gt_scalar(1.0) * matrix();
    fractions_want_floats: "`exp`: wants a float tensor, this one is int64", from_int64(&[1], &[1]).exp();
    a_reshape_keeps_every_element: "`reshape`: [2, 3] cannot become [4]", matrix().reshape(&[4]);
    an_integer_divisor_of_zero_is_refused: "`div`: an integer divisor is zero", from_int64(&[1], &[1]) / from_int64(&[0], &[1]);
}
