//! Gradients against central finite differences in float64.

use retune_tensor::{AnyTensor, Result, cat, fused, stack};

use crate::{assert_near, b, f, i};

type Operation = fn(&[AnyTensor]) -> Result<AnyTensor>;

/// Half the distance between the two points of a difference.
const H: f64 = 1e-5;

/// A scalar that depends on every element of `out` in a way of its own.
fn probe(out: &AnyTensor) -> AnyTensor {
    let weights: Vec<f64> = (0..out.numel()).map(|k| (k as f64 * 1.7 + 0.3).sin() + 0.1).collect();
    out.mul(&f(&weights, &out.shape())).unwrap().sum(&[], false).unwrap()
}

/// The gradient of `probe(operation(inputs))` for each input, beside its difference quotients.
fn check(name: &str, operation: Operation, inputs: &[AnyTensor]) {
    let leaves: Vec<_> = inputs.iter().map(|t| t.leaf().unwrap()).collect();
    let out = operation(&leaves).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut gradients = probe(&out).backward().unwrap();
    for (k, leaf) in leaves.iter().enumerate() {
        let got = gradients.take(leaf).unwrap_or_else(|| panic!("{name}: no gradient for input {k}"));
        assert_eq!(got.shape(), inputs[k].shape(), "{name}, input {k}");
        let values = inputs[k].to_float64().unwrap();
        let moved = |at: usize, by: f64| {
            let mut values = values.clone();
            values[at] += by;
            let mut given = inputs.to_vec();
            given[k] = f(&values, &inputs[k].shape());
            probe(&operation(&given).unwrap()).item().unwrap()
        };
        let expected: Vec<_> = (0..values.len()).map(|at| (moved(at, H) - moved(at, -H)) / (2.0 * H)).collect();
        assert_near(&format!("gradient of {name}, input {k}"), &got.to_float64().unwrap(), &expected, 2e-6);
    }
}

/// Distinct numbers around zero, none of them near a kink.
fn x() -> AnyTensor {
    f(&[0.31, -1.27, 2.13, -0.42, 0.88, -2.61], &[2, 3])
}

fn y() -> AnyTensor {
    f(&[1.21, -0.83, 0.57], &[3])
}

fn positive() -> AnyTensor {
    f(&[0.31, 1.27, 2.13, 0.42, 0.88, 2.61], &[2, 3])
}

#[test]
fn gradients_flow_through_changes_of_shape() {
    let table: &[(&str, Operation)] = &[
        ("reshape", |t| t[0].reshape(&[3, 2])),
        ("permute", |t| t[0].permute(&[1, 0])),
        ("transpose", |t| t[0].transpose(0, 1)),
        ("expand", |t| t[0].unsqueeze(1)?.expand(&[2, 4, 3])),
        ("squeeze", |t| t[0].unsqueeze(0)?.squeeze(0)),
        ("unsqueeze", |t| t[0].unsqueeze(-1)),
        ("slice", |t| t[0].slice(1, 0, 3, 2)),
        ("flip", |t| t[0].flip(&[0])),
        ("repeat", |t| t[0].repeat(1, 3)),
        ("cat", |t| cat(&[&t[0], &t[0]], 0)),
        ("stack", |t| stack(&[&t[0], &t[0]], 1)),
    ];
    for (name, operation) in table {
        check(name, *operation, &[x()]);
    }
}

#[test]
fn gradients_flow_to_the_elements_that_were_chosen() {
    let table: &[(&str, Operation)] = &[
        ("gather", |t| t[0].gather(1, &i(&[2, 2, 0, 1], &[2, 2]))),
        ("index-select", |t| t[0].index_select(1, &i(&[1, 1, 0], &[3]))),
        ("masked-fill", |t| t[0].masked_fill(&b(&[1, 0, 0], &[3]), 3.0)),
        ("where, then", |t| b(&[1, 0, 1], &[3]).where_(&t[0], &f(&[0.5], &[]))),
        ("where, otherwise", |t| b(&[1, 0, 1], &[3]).where_(&f(&[0.5], &[]), &t[0])),
        ("top-k", |t| Ok(t[0].top_k(2, 1)?.0)),
        ("sort", |t| Ok(t[0].sort(1, true)?.0)),
    ];
    for (name, operation) in table {
        check(name, *operation, &[x()]);
    }
    check("scatter-add", |t| t[0].scatter_add(0, &i(&[2, 0, 2], &[3]), &t[1]), &[y(), f(&[0.3, 0.4, 0.5], &[3])]);
    check("histogram of weights", |t| f(&[0.5, 1.5, 0.6], &[3]).histogram(2, 0.0, 2.0, Some(&t[0])), &[y()]);
}

#[test]
fn gradients_of_arithmetic_reach_both_sides_through_broadcasting() {
    let table: &[(&str, Operation)] = &[
        ("add", |t| t[0].add(&t[1])),
        ("sub", |t| t[0].sub(&t[1])),
        ("mul", |t| t[0].mul(&t[1])),
        ("div", |t| t[0].div(&t[1])),
        ("maximum", |t| t[0].maximum(&t[1])),
        ("minimum", |t| t[1].minimum(&t[0])),
        ("with a scalar tensor", |t| t[0].mul(&t[1].sum(&[], false)?)),
    ];
    for (name, operation) in table {
        check(name, *operation, &[x(), y()]);
    }
    check("pow", |t| t[0].pow(&t[1]), &[positive(), y()]);
    check("matmul", |t| t[0].matmul(&t[1]), &[x(), f(&[0.2, -0.4, 1.1, 0.6, -0.9, 0.3], &[3, 2])]);
    check("matmul with a vector", |t| t[0].matmul(&t[1]), &[x(), y()]);
    let batch = f(&[0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, -0.9, 1.0, 1.1, 1.2], &[2, 2, 3]);
    check(
        "matmul of a batch and a matrix",
        |t| t[0].matmul(&t[1]),
        &[batch, f(&[0.2, -0.4, 1.1, 0.6, -0.9, 0.3], &[3, 2])],
    );
}

#[test]
fn gradients_of_functions_of_one_element_are_their_derivatives() {
    let anywhere: &[(&str, Operation)] = &[
        ("add-scalar", |t| t[0].add_scalar(1.5)),
        ("mul-scalar", |t| t[0].mul_scalar(-2.5)),
        ("pow-scalar 3", |t| t[0].pow_scalar(3.0)),
        ("clamp", |t| t[0].clamp(Some(-1.0), Some(1.0))),
        ("neg", |t| t[0].neg()),
        ("abs", |t| t[0].abs()),
        ("sign", |t| t[0].sign()?.add(&t[0])),
        ("floor", |t| t[0].floor()?.add(&t[0])),
        ("ceil", |t| t[0].ceil()?.add(&t[0])),
        ("round", |t| t[0].round()?.add(&t[0])),
        ("exp", |t| t[0].exp()),
        ("erf", |t| t[0].erf()),
        ("tanh", |t| t[0].tanh()),
        ("sigmoid", |t| t[0].sigmoid()),
        ("log-sigmoid", |t| t[0].log_sigmoid()),
        ("softplus", |t| t[0].softplus()),
        ("relu", |t| t[0].relu()),
        ("gelu", |t| t[0].gelu()),
        ("silu", |t| t[0].silu()),
    ];
    for (name, operation) in anywhere {
        check(name, *operation, &[x()]);
    }
    let above_zero: &[(&str, Operation)] = &[
        ("recip", |t| t[0].recip()),
        ("log", |t| t[0].log()),
        ("log1p", |t| t[0].log1p()),
        ("sqrt", |t| t[0].sqrt()),
        ("rsqrt", |t| t[0].rsqrt()),
        ("pow-scalar 0.5", |t| t[0].pow_scalar(0.5)),
        ("pow-scalar -2", |t| t[0].pow_scalar(-2.0)),
    ];
    for (name, operation) in above_zero {
        check(name, *operation, &[positive()]);
    }
}

#[test]
fn gradients_of_reductions_reach_every_element() {
    let table: &[(&str, Operation)] = &[
        ("sum", |t| t[0].sum(&[], false)),
        ("sum of rows", |t| t[0].sum(&[1], false)),
        ("mean", |t| t[0].mean(&[0], true)),
        ("max", |t| t[0].max(&[], false)),
        ("max of rows", |t| t[0].max(&[1], false)),
        ("min", |t| t[0].min(&[0], true)),
        ("variance", |t| t[0].variance(&[1], false)),
        ("log-sum-exp", |t| t[0].log_sum_exp(&[1], false)),
        ("log-sum-exp of all", |t| t[0].log_sum_exp(&[], false)),
        ("l2-norm", |t| t[0].l2_norm(&[], false)),
        ("l2-norm of rows", |t| t[0].l2_norm(&[1], true)),
        ("cum-sum", |t| t[0].cum_sum(1)),
        ("softmax", |t| t[0].softmax(1)),
        ("softmax of columns", |t| t[0].softmax(0)),
        ("log-softmax", |t| t[0].log_softmax(-1)),
    ];
    for (name, operation) in table {
        check(name, *operation, &[x()]);
    }
    check("sum of a scalar", |t| t[0].sum(&[], false), &[f(&[0.7], &[])]);
}

#[test]
fn gradients_of_fused_operations_match_differences() {
    check("token-log-probs", |t| fused::token_log_probs(&t[0], &i(&[1, -100], &[2]), -100), &[x()]);
    check("mean-log-probs", |t| fused::mean_log_probs(&t[0]), &[x()]);
    check("entropy", |t| fused::entropy(&t[0]), &[x()]);
    let other = f(&[0.5, 0.1, -0.9, 1.4, -0.3, 0.2], &[2, 3]);
    check("kl-div", |t| fused::kl_div(&t[0], &t[1], 1.7, false), &[x(), other.clone()]);
    check("kl-div, reverse", |t| fused::kl_div(&t[0], &t[1], 0.6, true), &[x(), other]);
}

#[test]
fn where_no_derivative_exists_the_gradient_is_still_a_number() {
    let at_zero: &[(&str, Operation)] = &[
        ("abs", |t| t[0].abs()),
        ("relu", |t| t[0].relu()),
        ("sign", |t| t[0].sign()),
        ("l2-norm", |t| t[0].l2_norm(&[], false)),
    ];
    for (name, operation) in at_zero {
        let leaf = f(&[0.0, 0.0], &[2]).leaf().unwrap();
        let out = operation(std::slice::from_ref(&leaf)).unwrap();
        let gradient = probe(&out).backward().unwrap().take(&leaf).unwrap().to_float64().unwrap();
        assert_eq!(gradient, [0.0, 0.0], "{name}");
    }
}

#[test]
fn no_gradient_flows_through_detach_integers_or_booleans() {
    let leaf = x().leaf().unwrap();
    for (name, out) in [
        ("detach", leaf.detach().unwrap()),
        ("untracked", leaf.untracked()),
        ("arg-max", leaf.arg_max(1, false).unwrap()),
        ("gt", leaf.gt_scalar(0.0).unwrap()),
        ("cast", leaf.cast(retune_tensor::Dtype::Int64).unwrap()),
    ] {
        assert!(!out.is_tracked(), "{name}");
    }
    let partly = leaf.mul(&leaf.detach().unwrap()).unwrap().sum(&[], false).unwrap();
    let gradient = partly.backward().unwrap().take(&leaf).unwrap();
    assert_near("x * detach(x)", &gradient.to_float64().unwrap(), &x().to_float64().unwrap(), 1e-12);
}

#[test]
fn a_cast_to_a_narrower_float_gives_the_gradient_back_in_the_wider() {
    use retune_tensor::Dtype::{Bfloat16, Float32};
    let leaf = x().cast(Float32).unwrap().leaf().unwrap();
    let out = leaf.cast(Bfloat16).unwrap().sum(&[], false).unwrap().cast(Float32).unwrap();
    let gradient = out.backward().unwrap().take(&leaf).unwrap();
    assert_eq!((gradient.dtype(), gradient.to_float32().unwrap()), (Float32, vec![1.0; 6]));
}
