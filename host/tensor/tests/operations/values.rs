//! Shapes and values of operations that compute.

use retune_tensor::{AnyTensor, Device, Dtype, Result};

use crate::case::{Case, check, six};
use crate::{assert_near, b, f, i};

#[test]
fn arithmetic_broadcasts_and_computes() {
    let (row, column) = (|| f(&[1.0, 2.0, 4.0], &[3]), || f(&[8.0, -6.0], &[2, 1]));
    check(vec![
        Case("add", |t| t[0].add(&t[1]), vec![row(), column()], vec![2, 3], vec![9.0, 10.0, 12.0, -5.0, -4.0, -2.0]),
        Case("sub", |t| t[0].sub(&t[1]), vec![column(), row()], vec![2, 3], vec![7.0, 6.0, 4.0, -7.0, -8.0, -10.0]),
        Case("mul", |t| t[0].mul(&t[1]), vec![row(), column()], vec![2, 3], vec![8.0, 16.0, 32.0, -6.0, -12.0, -24.0]),
        Case("div", |t| t[0].div(&t[1]), vec![column(), row()], vec![2, 3], vec![8.0, 4.0, 2.0, -6.0, -3.0, -1.5]),
        Case("div of integers", |t| t[0].div(&t[1]), vec![i(&[7, -7], &[2]), i(&[2], &[])], vec![2], vec![3.0, -3.0]),
        Case("pow", |t| t[0].pow(&t[1]), vec![f(&[2.0, 9.0], &[2]), f(&[3.0, 0.5], &[2])], vec![2], vec![8.0, 3.0]),
        Case(
            "pow of integers",
            |t| t[0].pow(&t[1]),
            vec![i(&[2, -3], &[2]), i(&[10, 3], &[2])],
            vec![2],
            vec![1024.0, -27.0],
        ),
        Case(
            "maximum",
            |t| t[0].maximum(&t[1]),
            vec![f(&[1.0, f64::NAN, 3.0], &[3]), f(&[2.0, 2.0, f64::NAN], &[3])],
            vec![3],
            vec![2.0, f64::NAN, f64::NAN],
        ),
        Case(
            "minimum",
            |t| t[0].minimum(&t[1]),
            vec![row(), column()],
            vec![2, 3],
            vec![1.0, 2.0, 4.0, -6.0, -6.0, -6.0],
        ),
        Case(
            "maximum of integers",
            |t| t[0].maximum(&t[1]),
            vec![i(&[1, 5], &[2]), i(&[3], &[1])],
            vec![2],
            vec![3.0, 5.0],
        ),
        Case("scalars with scalars", |t| t[0].add(&t[1]), vec![f(&[1.0], &[]), f(&[2.0], &[])], vec![], vec![3.0]),
        Case("maximum of scalars", |t| t[0].maximum(&t[1]), vec![f(&[1.0], &[]), f(&[2.0], &[])], vec![], vec![2.0]),
        Case("add-scalar", |t| t[0].add_scalar(0.5), vec![row()], vec![3], vec![1.5, 2.5, 4.5]),
        Case("add-scalar to integers", |t| t[0].add_scalar(-1.9), vec![i(&[5], &[1])], vec![1], vec![4.0]),
        Case("mul-scalar", |t| t[0].mul_scalar(-2.0), vec![row()], vec![3], vec![-2.0, -4.0, -8.0]),
        Case("pow-scalar", |t| t[0].pow_scalar(2.0), vec![column()], vec![2, 1], vec![64.0, 36.0]),
        Case("pow-scalar, broken", |t| t[0].pow_scalar(-0.5), vec![f(&[4.0], &[])], vec![], vec![0.5]),
        Case("pow-scalar of integers", |t| t[0].pow_scalar(3.0), vec![i(&[-2, 5], &[2])], vec![2], vec![-8.0, 125.0]),
        Case("clamp", |t| t[0].clamp(Some(1.5), Some(3.0)), vec![row()], vec![3], vec![1.5, 2.0, 3.0]),
        Case("clamp below", |t| t[0].clamp(Some(2.0), None), vec![row()], vec![3], vec![2.0, 2.0, 4.0]),
        Case("clamp of integers", |t| t[0].clamp(None, Some(2.7)), vec![i(&[1, 9], &[2])], vec![2], vec![1.0, 2.0]),
    ]);
}

#[test]
fn matrices_multiply_with_leading_dimensions_broadcast() {
    let two = || f(&[1.0, 2.0, 3.0, 4.0], &[2, 2]);
    check(vec![
        Case(
            "matrices",
            |t| t[0].matmul(&t[1]),
            vec![two(), six()],
            vec![2, 3],
            vec![9.0, 12.0, 15.0, 19.0, 26.0, 33.0],
        ),
        Case(
            "matrix and vector",
            |t| t[0].matmul(&t[1]),
            vec![six(), f(&[1.0, 0.0, -1.0], &[3])],
            vec![2],
            vec![-2.0, -2.0],
        ),
        Case(
            "vector and matrix",
            |t| t[0].matmul(&t[1]),
            vec![f(&[1.0, -1.0], &[2]), six()],
            vec![3],
            vec![-3.0, -3.0, -3.0],
        ),
        Case("vectors", |t| t[0].matmul(&t[1]), vec![f(&[1.0, 2.0], &[2]), f(&[3.0, 4.0], &[2])], vec![], vec![11.0]),
        Case(
            "batch and matrix",
            |t| t[0].matmul(&t[1]),
            vec![f(&[1.0, 2.0, 3.0, 4.0], &[2, 1, 2]), two()],
            vec![2, 1, 2],
            vec![7.0, 10.0, 15.0, 22.0],
        ),
        Case(
            "integers",
            |t| t[0].matmul(&t[1]),
            vec![i(&[1, 2], &[1, 2]), i(&[3, 4], &[2, 1])],
            vec![1, 1],
            vec![11.0],
        ),
    ]);
}

#[test]
fn functions_of_one_element_have_their_values() {
    // Reference values from the C library's functions, in double precision.
    let x = || f(&[-1.5, 0.0, 0.5, 2.0], &[4]);
    let positive = || f(&[0.25, 1.0, 4.0], &[3]);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let at = |g: &dyn Fn(f64) -> f64| [-1.5, 0.0, 0.5, 2.0].map(g).to_vec();
    let erf = [-0.966_105_146_475_310_8, 0.0, 0.520_499_877_813_046_5, 0.995_322_265_018_952_7];
    let normal_cdf = [0.066_807_201_268_858_09, 0.5, 0.691_462_461_274_013_1, 0.977_249_868_051_820_8];
    check(vec![
        Case("neg", |t| t[0].neg(), vec![x()], vec![4], vec![1.5, 0.0, -0.5, -2.0]),
        Case("abs", |t| t[0].abs(), vec![x()], vec![4], vec![1.5, 0.0, 0.5, 2.0]),
        Case("abs of integers", |t| t[0].abs(), vec![i(&[-3, 4], &[2])], vec![2], vec![3.0, 4.0]),
        Case("neg of integers", |t| t[0].neg(), vec![i(&[-3, 4], &[2])], vec![2], vec![3.0, -4.0]),
        Case("sign", |t| t[0].sign(), vec![x()], vec![4], vec![-1.0, 0.0, 1.0, 1.0]),
        Case("sign of integers", |t| t[0].sign(), vec![i(&[-3, 0, 4], &[3])], vec![3], vec![-1.0, 0.0, 1.0]),
        Case("recip", |t| t[0].recip(), vec![positive()], vec![3], vec![4.0, 1.0, 0.25]),
        Case("exp", |t| t[0].exp(), vec![x()], vec![4], at(&f64::exp)),
        Case("log", |t| t[0].log(), vec![positive()], vec![3], vec![0.25f64.ln(), 0.0, 4f64.ln()]),
        Case("log1p", |t| t[0].log1p(), vec![f(&[1e-12, 1.0], &[2])], vec![2], vec![1e-12f64.ln_1p(), 2f64.ln()]),
        Case("sqrt", |t| t[0].sqrt(), vec![positive()], vec![3], vec![0.5, 1.0, 2.0]),
        Case("rsqrt", |t| t[0].rsqrt(), vec![positive()], vec![3], vec![2.0, 1.0, 0.5]),
        Case("floor", |t| t[0].floor(), vec![x()], vec![4], vec![-2.0, 0.0, 0.0, 2.0]),
        Case("ceil", |t| t[0].ceil(), vec![x()], vec![4], vec![-1.0, 0.0, 1.0, 2.0]),
        Case("round", |t| t[0].round(), vec![f(&[-1.5, 0.5, 1.5, 2.4], &[4])], vec![4], vec![-2.0, 0.0, 2.0, 2.0]),
        Case("floor of integers", |t| t[0].floor(), vec![i(&[-3], &[])], vec![], vec![-3.0]),
        Case("tanh", |t| t[0].tanh(), vec![x()], vec![4], at(&f64::tanh)),
        Case("sigmoid", |t| t[0].sigmoid(), vec![x()], vec![4], at(&sigmoid)),
        Case("log-sigmoid", |t| t[0].log_sigmoid(), vec![x()], vec![4], at(&|x| sigmoid(x).ln())),
        Case(
            "log-sigmoid, far out",
            |t| t[0].log_sigmoid(),
            vec![f(&[-1000.0, 1000.0], &[2])],
            vec![2],
            vec![-1000.0, 0.0],
        ),
        Case("softplus", |t| t[0].softplus(), vec![x()], vec![4], at(&|x| x.exp().ln_1p())),
        Case("softplus, far out", |t| t[0].softplus(), vec![f(&[-1000.0, 1000.0], &[2])], vec![2], vec![0.0, 1000.0]),
        Case("relu", |t| t[0].relu(), vec![x()], vec![4], vec![0.0, 0.0, 0.5, 2.0]),
        Case("silu", |t| t[0].silu(), vec![x()], vec![4], at(&|x| x * sigmoid(x))),
    ]);
    let near = |name: &str, out: Result<AnyTensor>, expected: &[f64]| {
        assert_near(name, &out.unwrap().to_float64().unwrap(), expected, 5e-7)
    };
    near("erf", x().erf(), &erf);
    let gelu: Vec<_> = [-1.5, 0.0, 0.5, 2.0].iter().zip(normal_cdf).map(|(x, p)| x * p).collect();
    near("gelu", x().gelu(), &gelu);
}

#[test]
fn comparisons_and_logic_give_booleans() {
    let (l, r) = (|| f(&[1.0, 2.0, f64::NAN], &[3]), || f(&[2.0], &[]));
    let (p, q) = (|| b(&[1, 1, 0, 0], &[4]), || b(&[1, 0, 1, 0], &[4]));
    let cases = vec![
        Case("eq", |t| t[0].eq(&t[1]), vec![l(), r()], vec![3], vec![0.0, 1.0, 0.0]),
        Case("ne", |t| t[0].ne(&t[1]), vec![l(), r()], vec![3], vec![1.0, 0.0, 1.0]),
        Case("lt", |t| t[0].lt(&t[1]), vec![l(), r()], vec![3], vec![1.0, 0.0, 0.0]),
        Case("le", |t| t[0].le(&t[1]), vec![l(), r()], vec![3], vec![1.0, 1.0, 0.0]),
        Case("gt", |t| t[0].gt(&t[1]), vec![r(), l()], vec![3], vec![1.0, 0.0, 0.0]),
        Case("ge", |t| t[0].ge(&t[1]), vec![r(), l()], vec![3], vec![1.0, 1.0, 0.0]),
        Case("eq of integers", |t| t[0].eq(&t[1]), vec![i(&[1, 2], &[2]), i(&[2], &[1])], vec![2], vec![0.0, 1.0]),
        Case("lt of integers", |t| t[0].lt(&t[1]), vec![i(&[1, 2], &[2]), i(&[2], &[1])], vec![2], vec![1.0, 0.0]),
        Case("eq of booleans", |t| t[0].eq(&t[1]), vec![p(), q()], vec![4], vec![1.0, 0.0, 0.0, 1.0]),
        Case("ne of booleans", |t| t[0].ne(&t[1]), vec![p(), b(&[1], &[])], vec![4], vec![0.0, 0.0, 1.0, 1.0]),
        Case("eq-scalar", |t| t[0].eq_scalar(2.0), vec![l()], vec![3], vec![0.0, 1.0, 0.0]),
        Case("gt-scalar", |t| t[0].gt_scalar(1.5), vec![l()], vec![3], vec![0.0, 1.0, 0.0]),
        Case("lt-scalar", |t| t[0].lt_scalar(1.5), vec![l()], vec![3], vec![1.0, 0.0, 0.0]),
        Case("gt-scalar of integers", |t| t[0].gt_scalar(0.9), vec![i(&[0, 1], &[2])], vec![2], vec![0.0, 1.0]),
        Case("logical-and", |t| t[0].logical_and(&t[1]), vec![p(), q()], vec![4], vec![1.0, 0.0, 0.0, 0.0]),
        Case("logical-or", |t| t[0].logical_or(&t[1]), vec![p(), q()], vec![4], vec![1.0, 1.0, 1.0, 0.0]),
        Case(
            "logical-and, broadcast",
            |t| t[0].logical_and(&t[1]),
            vec![p(), b(&[1], &[1])],
            vec![4],
            vec![1.0, 1.0, 0.0, 0.0],
        ),
        Case("logical-not", |t| t[0].logical_not(), vec![p()], vec![4], vec![0.0, 0.0, 1.0, 1.0]),
        Case(
            "is-finite",
            |t| t[0].is_finite(),
            vec![f(&[1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY], &[4])],
            vec![4],
            vec![1.0, 0.0, 0.0, 0.0],
        ),
        Case("is-finite of integers", |t| t[0].is_finite(), vec![i(&[5], &[1])], vec![1], vec![1.0]),
    ];
    for Case(name, operation, inputs, ..) in &cases {
        assert_eq!(operation(inputs).unwrap().dtype(), Dtype::Boolean, "{name}");
    }
    check(cases);
}

#[test]
fn reductions_fold_the_dimensions_they_name() {
    let cube = || f(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &[2, 2, 2]);
    let two = || f(&[1.0, 2.0, 3.0, 6.0], &[2, 2]);
    check(vec![
        Case("sum", |t| t[0].sum(&[], false), vec![cube()], vec![], vec![36.0]),
        Case("sum, kept", |t| t[0].sum(&[], true), vec![cube()], vec![1, 1, 1], vec![36.0]),
        Case("sum of some", |t| t[0].sum(&[0, -1], false), vec![cube()], vec![2], vec![14.0, 22.0]),
        Case("sum of some, kept", |t| t[0].sum(&[1], true), vec![cube()], vec![2, 1, 2], vec![4.0, 6.0, 12.0, 14.0]),
        Case("sum of a scalar", |t| t[0].sum(&[], false), vec![f(&[4.0], &[])], vec![], vec![4.0]),
        Case("sum of integers", |t| t[0].sum(&[1], false), vec![i(&[1, 2, 3, 4], &[2, 2])], vec![2], vec![3.0, 7.0]),
        Case("sum of nothing", |t| t[0].sum(&[1], false), vec![f(&[], &[2, 0])], vec![2], vec![0.0, 0.0]),
        Case("mean", |t| t[0].mean(&[0], false), vec![two()], vec![2], vec![2.0, 4.0]),
        Case("mean of all", |t| t[0].mean(&[], false), vec![two()], vec![], vec![3.0]),
        Case("max", |t| t[0].max(&[], false), vec![cube()], vec![], vec![8.0]),
        Case("max of some", |t| t[0].max(&[0, 2], false), vec![cube()], vec![2], vec![6.0, 8.0]),
        Case("min, kept", |t| t[0].min(&[1], true), vec![two()], vec![2, 1], vec![1.0, 3.0]),
        Case("max of integers", |t| t[0].max(&[0], false), vec![i(&[-3, -5], &[2])], vec![], vec![-3.0]),
        Case("variance", |t| t[0].variance(&[1], false), vec![two()], vec![2], vec![0.25, 2.25]),
        Case("variance of one", |t| t[0].variance(&[], false), vec![f(&[3.0], &[])], vec![], vec![0.0]),
        Case(
            "log-sum-exp",
            |t| t[0].log_sum_exp(&[1], false),
            vec![f(&[0.0, 0.0, 1000.0, 1000.0], &[2, 2])],
            vec![2],
            vec![2f64.ln(), 1000.0 + 2f64.ln()],
        ),
        Case(
            "log-sum-exp of nothing likely",
            |t| t[0].log_sum_exp(&[], false),
            vec![f(&[f64::NEG_INFINITY; 2], &[2])],
            vec![],
            vec![f64::NEG_INFINITY],
        ),
        Case("l2-norm", |t| t[0].l2_norm(&[], false), vec![f(&[3.0, -4.0], &[2])], vec![], vec![5.0]),
        Case("l2-norm of zeros", |t| t[0].l2_norm(&[1], true), vec![f(&[0.0, 0.0], &[1, 2])], vec![1, 1], vec![0.0]),
        Case(
            "arg-max",
            |t| t[0].arg_max(-1, false),
            vec![f(&[1.0, 9.0, 4.0, 8.0, 2.0, 1.0], &[2, 3])],
            vec![2],
            vec![1.0, 0.0],
        ),
        Case(
            "arg-min, kept",
            |t| t[0].arg_min(0, true),
            vec![f(&[1.0, 9.0, 4.0, 0.0, 2.0, 5.0], &[2, 3])],
            vec![1, 3],
            vec![1.0, 1.0, 0.0],
        ),
        Case("arg-max of integers", |t| t[0].arg_max(0, false), vec![i(&[3, 7, 5], &[3])], vec![], vec![1.0]),
        Case("any", |t| t[0].any(&[1], false), vec![b(&[0, 1, 0, 0], &[2, 2])], vec![2], vec![1.0, 0.0]),
        Case("all", |t| t[0].all(&[], false), vec![b(&[1, 1, 1, 0], &[2, 2])], vec![], vec![0.0]),
        Case("all of nothing", |t| t[0].all(&[], false), vec![b(&[], &[0])], vec![], vec![1.0]),
        Case("cum-sum", |t| t[0].cum_sum(1), vec![six()], vec![2, 3], vec![1.0, 3.0, 6.0, 4.0, 9.0, 15.0]),
        Case("cum-sum of integers", |t| t[0].cum_sum(0), vec![i(&[1, 2, 3], &[3])], vec![3], vec![1.0, 3.0, 6.0]),
        Case(
            "histogram",
            |t| t[0].histogram(4, 0.0, 1.0, None),
            vec![f(&[-5.0, 0.0, 0.24, 0.25, 0.5, 0.99, 1.0, f64::INFINITY], &[2, 4])],
            vec![4],
            vec![3.0, 1.0, 1.0, 3.0],
        ),
        Case(
            "histogram of weights",
            |t| t[0].histogram(2, 0.0, 2.0, Some(&t[1])),
            vec![f(&[0.5, 1.5, 0.5], &[3]), f(&[1.0, 10.0, 100.0], &[3])],
            vec![2],
            vec![101.0, 10.0],
        ),
        Case(
            "histogram of integers",
            |t| t[0].histogram(3, 0.0, 3.0, None),
            vec![i(&[0, 1, 1, 2], &[4])],
            vec![3],
            vec![1.0, 2.0, 1.0],
        ),
    ]);
}

#[test]
fn normalised_rows_sum_to_one() {
    let x = || f(&[0.0, 3f64.ln(), 1000.0, 1000.0], &[2, 2]);
    check(vec![
        Case("softmax", |t| t[0].softmax(-1), vec![x()], vec![2, 2], vec![0.25, 0.75, 0.5, 0.5]),
        Case("softmax of columns", |t| t[0].softmax(0), vec![f(&[0.0, 0.0], &[2, 1])], vec![2, 1], vec![0.5, 0.5]),
        Case(
            "log-softmax",
            |t| t[0].log_softmax(1),
            vec![x()],
            vec![2, 2],
            vec![0.25f64.ln(), 0.75f64.ln(), 0.5f64.ln(), 0.5f64.ln()],
        ),
    ]);
}

#[test]
fn a_large_sum_has_the_same_bits_for_any_number_of_threads() {
    // Past burn's threshold for a parallel sum, and no multiple of anything.
    let count = (1usize << 22) + 70_001;
    let values: Vec<f32> = (0..count).map(|i| ((i * 2_654_435_761) % 1_000_003) as f32 * 1e-6 - 0.4).collect();
    let exact: f64 = values.iter().map(|x| f64::from(*x)).sum();
    let flat = retune_tensor::from_float32(values, &[count], &Device::flex()).unwrap();
    let sum = || flat.sum(&[], false).unwrap().to_float32().unwrap()[0];
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let bits: Vec<u32> = [1, 2, 3].iter().map(|threads| pool(*threads).install(sum).to_bits()).collect();
    assert!(bits.iter().all(|b| *b == bits[0]), "{bits:?}");
    assert!((f64::from(f32::from_bits(bits[0])) - exact).abs() < 1e-5 * exact.abs(), "{exact}");
    assert_eq!(flat.sum(&[], false).unwrap().shape(), Vec::<usize>::new());
    let wide = flat.slice(0, 0, 1 << 22, 1).unwrap().reshape(&[64, 1 << 16]).unwrap();
    let (whole, rows) = (wide.sum(&[], true).unwrap(), wide.sum(&[1], false).unwrap().sum(&[], false).unwrap());
    assert_eq!(whole.shape(), [1, 1]);
    assert_eq!(whole.to_float32().unwrap(), rows.to_float32().unwrap());
}
