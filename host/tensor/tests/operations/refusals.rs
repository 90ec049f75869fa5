//! What is refused, in which words, and that nothing panics.

use proptest::prelude::*;
use retune_tensor::{
    AnyTensor, Device, Dtype, Result, arange, cat, eye, from_float32, full, fused, stack, with_largest,
};

use crate::{b, f, i};

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, sentence: &str) {
    assert_eq!(result.unwrap_err().to_string(), sentence);
}

#[test]
fn each_refusal_says_what_was_given_and_what_fits() {
    let (x, t, yes) = (f(&[1.0; 6], &[2, 3]), i(&[0, 1], &[2]), b(&[1, 0, 1], &[3]));
    refused(x.add(&f(&[1.0; 2], &[2])), "`add`: shapes [2, 3] and [2] do not broadcast");
    refused(x.mul(&yes), "`mul`: boolean and float64 tensors do not mix; cast the boolean one first");
    refused(yes.add(&yes), "`add`: needs numbers, got a boolean tensor; cast it first");
    refused(yes.sum(&[], false), "`sum`: needs numbers, got a boolean tensor; cast it first");
    refused(yes.lt(&yes), "`lt`: booleans have no order; cast them first");
    refused(t.exp(), "`exp`: needs a float tensor, got int64; cast it first");
    refused(t.mean(&[], false), "`mean`: needs a float tensor, got int64; cast it first");
    refused(x.reshape(&[4, -1]), "`reshape`: a tensor of shape [2, 3] has 6 elements and does not fit [4, -1]");
    refused(x.permute(&[0]), "`permute`: [0] names 1 dimensions, the tensor has 2");
    refused(x.permute(&[0, 0]), "`permute`: dimensions [0, 0] name one of them twice");
    refused(
        x.sum(&vec![0; 1_000_000], false),
        "`sum`: dimensions [0, 0, 0, 0, 0, 0, 0, 0, … 1000000 in all] name one of them twice",
    );
    refused(
        x.reshape(&vec![1; 1_000_000]),
        "`reshape`: shape [1, 1, 1, 1, 1, 1, 1, 1, … 1000000 in all] has rank 1000000, the largest is 8",
    );
    refused(x.expand(&[2, 4]), "`expand`: a tensor of shape [2, 3] does not expand to [2, 4]");
    refused(x.squeeze(0), "`squeeze`: dimension 0 of shape [2, 3] has size 2, not one");
    refused(x.slice(0, 0, 1, 0), "`slice`: the step must be at least 1");
    refused(x.sum(&[2], false), "`sum`: there is no dimension 2 in a tensor of rank 2");
    refused(f(&[1.0], &[]).sum(&[0], false), "`sum`: a scalar has no dimension 0");
    refused(x.gather(1, &i(&[0, 3], &[2, 1])), "`gather`: index 3 at position 1 lies outside the dimension of size 3");
    refused(
        x.gather(1, &i(&[0, -100], &[2, 1])),
        "`gather`: index -100 at position 1 lies outside the dimension of size 3",
    );
    refused(x.gather(1, &t), "`gather`: an index of shape [2] does not fit a tensor of shape [2, 3] along dimension 1");
    refused(x.gather(1, &x), "`gather`: indices must be integers, got float64");
    refused(
        x.index_select(0, &i(&[2], &[1])),
        "`index-select`: index 2 at position 0 lies outside the dimension of size 2",
    );
    refused(
        x.scatter_add(1, &i(&[0, 1], &[2, 1]), &f(&[1.0], &[1, 1])),
        "`scatter-add`: index and src must have one shape, they have [2, 1] and [1, 1]",
    );
    refused(x.where_(&x, &x), "`where`: the condition must be boolean, got float64");
    refused(x.masked_fill(&x, 0.0), "`masked-fill`: the mask must be boolean, got float64");
    refused(i(&[2], &[1]).one_hot(2), "`one-hot`: index 2 at position 0 lies outside the dimension of size 2");
    refused(x.top_k(4, 1), "`top-k`: k is 4, the dimension holds 3");
    refused(x.clamp(Some(2.0), Some(1.0)), "`clamp`: the lower bound 2 exceeds the upper bound 1");
    refused(x.matmul(&x), "`matmul`: inner sizes of shapes [2, 3] and [2, 3] differ: 3 and 2");
    refused(t.div(&i(&[1, 0], &[2])), "`div`: an integer divisor is zero");
    refused(
        i(&[3, i64::MIN], &[2]).div(&i(&[-1], &[])),
        "`div`: -9223372036854775808 divided by -1 is more than its type holds; cast to a float first",
    );
    assert_eq!(i(&[i64::MIN, 6], &[2]).div(&i(&[2, -1], &[2])).unwrap().to_int64().unwrap(), [i64::MIN / 2, -6]);
    refused(
        t.pow(&i(&[-1], &[])),
        "`pow`: the exponent -1 of an integer is not in 0..2^32; cast the base to a float first",
    );
    refused(t.add_scalar(f64::NAN), "`add-scalar`: NaN has no int64");
    refused(f(&[], &[0]).max(&[], false), "`max`: a tensor of shape [0] has no elements");
    refused(x.histogram(2, 1.0, 1.0, None), "`histogram`: the range [1, 1) is empty or not finite");
    refused(f(&[f64::NAN], &[1]).histogram(2, 0.0, 1.0, None), "`histogram`: an element is NaN and belongs to no bin");
    refused(x.item(), "`item`: a tensor of shape [2, 3] has 6 elements, not one");
    refused(x.backward().map(|_| ()), "`backward`: needs one number to differentiate, got shape [2, 3]");
    refused(
        f(&[1.0], &[]).backward().map(|_| ()),
        "`backward`: no gradient flows to this tensor; every input was untracked or detached",
    );
    refused(x.typed::<3, burn::tensor::Float>(), "`typed`: asked for rank 3, the tensor has shape [2, 3]");
    refused(x.typed::<2, burn::tensor::Int>(), "`typed`: asked for integer elements, the tensor has float64");
    let device = Device::flex();
    refused(from_float32(vec![1.0], &[2], &device), "`from-float32`: shape [2] holds 2 elements, 1 were given");
    refused(arange(0, 1, 0, &device), "`arange`: the step must not be zero");
    refused(cat(&[], 0), "`cat`: there is no tensor");
    refused(cat(&[&x, &t], 0), "`cat`: shapes [2, 3] and [2] differ outside dimension 0");
    refused(stack(&[&x, &t], 0), "`stack`: shapes [2, 3] and [2] differ");
    refused(
        fused::token_log_probs(&x, &i(&[0], &[1]), -100),
        "`token-log-probs`: labels of shape [1] for logits of shape [2, 3]; expected [2]",
    );
    refused(
        fused::token_log_probs(&x, &i(&[-100, 7], &[2]), -100),
        "`token-log-probs`: label 7 at position 1 lies outside the vocabulary of size 3",
    );
    refused(
        fused::token_log_probs(&x, &i(&[0, -1], &[2]), -100),
        "`token-log-probs`: label -1 at position 1 lies outside the vocabulary of size 3",
    );
    refused(fused::kl_div(&x, &x, 0.0, false), "`kl-div`: the temperature 0 is not a positive number");
}

#[test]
fn what_would_not_fit_into_memory_is_refused() {
    let device = Device::flex();
    let large = "is larger than";
    let x = f(&[1.0; 4], &[2, 2]);
    with_largest(64, || {
        for (name, result) in [
            ("full", full(&[3, 3], 0.0, Dtype::Float64, &device)),
            ("eye", eye(3, Dtype::Float64, &device)),
            ("arange", arange(0, 9, 1, &device)),
            ("expand", x.expand(&[3, 2, 2])),
            ("repeat", x.repeat(0, u32::MAX)),
            ("one-hot", i(&[0], &[1]).one_hot(u32::MAX)),
            (
                "add",
                x.unsqueeze(0).unwrap().add(&f(&[1.0; 8], &[2, 1, 4]).slice(2, 0, 2, 1).unwrap().repeat(1, 2).unwrap()),
            ),
            ("matmul", f(&[1.0; 3], &[3, 1]).matmul(&f(&[1.0; 3], &[1, 3]))),
            ("cat", cat(&[&x, &x, &x], 0)),
            ("stack", stack(&[&x, &x, &x], 0)),
        ] {
            if name == "add" {
                assert!(result.is_ok(), "{name}");
                continue;
            }
            assert!(result.as_ref().unwrap_err().to_string().contains(large), "{name}: {result:?}");
        }
    });
    assert!(x.expand(&[3, 2, 2]).is_ok());
    assert!(full(&[usize::MAX, usize::MAX], 0.0, Dtype::Float32, &device).is_err());
    assert!(arange(i64::MIN, i64::MAX, 1, &device).is_err());
}

#[test]
fn sizes_around_a_zero_never_overflow() {
    let device = Device::flex();
    let huge = 1 << 31;
    assert!(full(&[huge, huge, 0, huge, huge], 0.0, Dtype::Float32, &device).is_err());
    let empty = full(&[huge, 0, huge / 4], 0.0, Dtype::Float32, &device).unwrap();
    for moved in [empty.transpose(1, 2), empty.permute(&[2, 0, 1]), empty.unsqueeze(0)] {
        assert_eq!(moved.map(|moved| (moved.numel(), moved.byte_len())), Ok((0, 0)));
    }
    let (wide, flat) = (i32::MAX, full(&[0], 0.0, Dtype::Float32, &device).unwrap());
    assert!(flat.reshape(&[0, wide, wide]).and_then(|wide| wide.transpose(0, 2)).is_ok());
    assert!(flat.reshape(&[0, wide, wide, wide]).is_err());
    assert!(flat.reshape(&[0, 1, 1, 1]).and_then(|thin| thin.expand(&[0, wide, wide, wide])).is_err());
}

/// A byte an element, and eight in the type that the operation works in.
#[test]
fn what_an_operation_widens_is_refused_before_it_is_widened() {
    let device = Device::flex();
    let bytes = full(&[4096], 1.0, Dtype::Uint8, &device).unwrap();
    let (yes, column) = (bytes.cast(Dtype::Boolean).unwrap(), f(&[1.0; 2], &[2, 1]));
    let half = full(&[4096], 1.0, Dtype::Float16, &device).unwrap();
    let rows = bytes.unsqueeze(0).unwrap().expand(&[2, 4096]).unwrap();
    with_largest(8192, || {
        let results = [
            ("cast", yes.cast(Dtype::Float64)),
            ("sum", bytes.sum(&[], false)),
            ("cum-sum", bytes.cum_sum(0)),
            ("mean", half.mean(&[], false)),
            ("histogram", bytes.histogram(2, 0.0, 2.0, None)),
            ("sort", bytes.sort(0, true).map(|pair| pair.0)),
            ("top-k", bytes.top_k(1, 0).map(|pair| pair.0)),
            ("gather", column.gather(1, &rows)),
            ("index-select", column.index_select(0, &bytes)),
            ("one-hot", bytes.one_hot(2)),
            ("div", column.cast(Dtype::Int64).unwrap().div(&bytes)),
        ];
        for (name, result) in results {
            let error = result.map(|made| made.shape()).unwrap_err().to_string();
            assert!(error.contains("is larger than the 8192 bytes allowed"), "{name}: {error}");
        }
        assert!(bytes.to_int64().unwrap_err().to_string().contains("is larger than"));
        assert!(bytes.to_float32().unwrap_err().to_string().contains("is larger than"));
    });
    // What it gathers is wider than the indices.
    let (wide, few) = (f(&[1.0], &[1]), full(&[1024], 0.0, Dtype::Int32, &device).unwrap());
    assert!(with_largest(8191, || wide.gather(0, &few)).unwrap_err().to_string().contains("is larger than"));
}

/// Every operation with arguments that need not make sense.
fn attempt(which: usize, a: &AnyTensor, c: &AnyTensor, dim: i32, k: u32) -> Result<AnyTensor> {
    match which {
        0 => a.reshape(&[dim, -1]),
        1 => a.permute(&[dim, 0]),
        2 => a.transpose(dim, 0),
        3 => a.expand(&[dim, k as i32]),
        4 => a.squeeze(dim),
        5 => a.unsqueeze(dim),
        6 => a.slice(dim, i64::from(dim), i64::from(k), k),
        7 => a.flip(&[dim]),
        8 => a.repeat(dim, k),
        9 => a.gather(dim, c),
        10 => a.index_select(dim, c),
        11 => a.scatter_add(dim, c, a),
        12 => a.where_(c, a),
        13 => a.masked_fill(c, f64::from(dim)),
        14 => a.one_hot(k),
        15 => a.top_k(k, dim).map(|p| p.0),
        16 => a.sort(dim, k.is_multiple_of(2)).map(|p| p.0),
        17 => a.add(c),
        18 => a.div(c),
        19 => a.pow(c),
        20 => a.maximum(c),
        21 => a.matmul(c),
        22 => a.log(),
        23 => a.gelu(),
        24 => a.eq(c),
        25 => a.logical_and(c),
        26 => a.is_finite(),
        27 => a.sum(&[dim], false),
        28 => a.max(&[dim], true),
        29 => a.variance(&[], false),
        30 => a.log_sum_exp(&[dim], false),
        31 => a.arg_max(dim, false),
        32 => a.any(&[dim], false),
        33 => a.cum_sum(dim),
        34 => a.histogram(k, f64::from(dim), f64::from(k), Some(c)),
        35 => a.log_softmax(dim),
        36 => cat(&[a, c], dim),
        37 => stack(&[a, c], dim),
        38 => fused::token_log_probs(a, c, i64::from(dim)),
        39 => fused::kl_div(a, c, f64::from(dim), false),
        40 => a.minimum(c),
        41 => a.mul_scalar(f64::from(dim) + 0.5),
        42 => a.pow_scalar(f64::from(dim)),
        _ => a.l2_norm(&[dim, 1], true),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_arguments_make_an_operation_panic_or_reach_the_backend_unchecked(
        which in 0usize..44,
        left in prop::collection::vec(0usize..4, 0..4),
        right in prop::collection::vec(0usize..4, 0..4),
        (dtype_left, dtype_right) in (0usize..8, 0usize..8),
        dim in -3i32..4,
        k in 0u32..5,
    ) {
        let device = Device::flex();
        let make = |shape: &[usize], dtype: usize| {
            let values = (0..shape.iter().product::<usize>()).map(|v| v as f32 % 3.0).collect();
            from_float32(values, shape, &device).unwrap().cast(Dtype::ALL[dtype]).unwrap()
        };
        let (a, c) = (make(&left, dtype_left), make(&right, dtype_right));
        if let Err(error) = attempt(which, &a, &c, dim, k).and_then(|out| out.to_float64()) {
            prop_assert!(!error.reason().contains("backend failed"), "{} on {:?} {} and {:?} {}: {error}",
                which, left, a.dtype(), right, c.dtype());
        }
    }

    #[test]
    fn a_sum_has_the_shape_numpy_gives_it(lhs in prop::collection::vec(1usize..4, 0..4), rhs in prop::collection::vec(1usize..4, 0..4)) {
        let device = Device::flex();
        let (a, c) = (full(&lhs, 1.0, Dtype::Float32, &device).unwrap(), full(&rhs, 2.0, Dtype::Float32, &device).unwrap());
        let rank = lhs.len().max(rhs.len());
        let at = |s: &[usize], k: usize| if k + s.len() >= rank { s[k + s.len() - rank] } else { 1 };
        let fits = (0..rank).all(|k| at(&lhs, k) == at(&rhs, k) || at(&lhs, k) == 1 || at(&rhs, k) == 1);
        match a.add(&c) {
            Ok(sum) => {
                prop_assert!(fits);
                let expected: Vec<usize> = (0..rank).map(|k| at(&lhs, k).max(at(&rhs, k))).collect();
                prop_assert_eq!(sum.shape(), expected.clone());
                prop_assert_eq!(sum.to_float32().unwrap(), vec![3.0; expected.iter().product()]);
            }
            Err(_) => prop_assert!(!fits),
        }
    }
}
