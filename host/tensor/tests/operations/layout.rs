//! Shapes and values of operations that move, choose and make elements.

use retune_tensor::{AnyTensor, Device, Dtype, arange, cat, eye, full, stack};

use crate::case::{Case, check, six};
use crate::{b, f, i};

#[test]
fn shapes_are_changed_without_changing_the_elements() {
    let all = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    check(vec![
        Case("reshape", |t| t[0].reshape(&[3, -1]), vec![six()], vec![3, 2], all.clone()),
        Case("reshape to a scalar", |t| t[0].reshape(&[]), vec![f(&[7.0], &[1, 1])], vec![], vec![7.0]),
        Case("permute", |t| t[0].permute(&[-1, 0]), vec![six()], vec![3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        Case("transpose", |t| t[0].transpose(0, 1), vec![six()], vec![3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        Case(
            "expand",
            |t| t[0].expand(&[2, -1, 2]),
            vec![f(&[1.0, 2.0], &[2, 1])],
            vec![2, 2, 2],
            vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0],
        ),
        Case("expand a scalar", |t| t[0].expand(&[2, 1]), vec![f(&[3.0], &[])], vec![2, 1], vec![3.0, 3.0]),
        Case("squeeze", |t| t[0].squeeze(-2), vec![f(&[1.0, 2.0], &[2, 1, 1])], vec![2, 1], vec![1.0, 2.0]),
        Case("squeeze to a scalar", |t| t[0].squeeze(0), vec![f(&[1.0], &[1])], vec![], vec![1.0]),
        Case("unsqueeze", |t| t[0].unsqueeze(-1), vec![six()], vec![2, 3, 1], all.clone()),
        Case("unsqueeze a scalar", |t| t[0].unsqueeze(0), vec![f(&[2.0], &[])], vec![1], vec![2.0]),
        Case("slice", |t| t[0].slice(1, 0, 3, 2), vec![six()], vec![2, 2], vec![1.0, 3.0, 4.0, 6.0]),
        Case(
            "slice from the end",
            |t| t[0].slice(-1, -2, i64::MAX, 1),
            vec![six()],
            vec![2, 2],
            vec![2.0, 3.0, 5.0, 6.0],
        ),
        Case("slice of nothing", |t| t[0].slice(1, 2, 1, 1), vec![six()], vec![2, 0], vec![]),
        Case("flip", |t| t[0].flip(&[1]), vec![six()], vec![2, 3], vec![3.0, 2.0, 1.0, 6.0, 5.0, 4.0]),
        Case("flip all", |t| t[0].flip(&[]), vec![six()], vec![2, 3], vec![6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
        Case("repeat", |t| t[0].repeat(1, 2), vec![f(&[1.0, 2.0], &[2, 1])], vec![2, 2], vec![1.0, 1.0, 2.0, 2.0]),
        Case("repeat of integers", |t| t[0].repeat(0, 2), vec![i(&[1, 2], &[2])], vec![4], vec![1.0, 2.0, 1.0, 2.0]),
        Case("flip of booleans", |t| t[0].flip(&[]), vec![b(&[1, 0, 0], &[3])], vec![3], vec![0.0, 0.0, 1.0]),
        Case("transpose of integers", |t| t[0].transpose(0, -1), vec![i(&[1, 2], &[1, 2])], vec![2, 1], vec![1.0, 2.0]),
    ]);
}

#[test]
fn elements_are_chosen_by_index_mask_and_order() {
    check(vec![
        Case("gather", |t| t[0].gather(1, &t[1]), vec![six(), i(&[2, 0], &[2, 1])], vec![2, 1], vec![3.0, 4.0]),
        Case(
            "gather of integers",
            |t| t[0].gather(0, &t[1]),
            vec![i(&[5, 6], &[2]), i(&[1, 1, 0], &[3])],
            vec![3],
            vec![6.0, 6.0, 5.0],
        ),
        Case(
            "gather of booleans",
            |t| t[0].gather(0, &t[1]),
            vec![b(&[1, 0], &[2]), i(&[1, 0], &[2])],
            vec![2],
            vec![0.0, 1.0],
        ),
        Case(
            "gather, narrower elsewhere",
            |t| t[0].gather(1, &t[1]),
            vec![six(), i(&[1, 2, 0, 1], &[1, 4])],
            vec![1, 4],
            vec![2.0, 3.0, 1.0, 2.0],
        ),
        Case(
            "index-select",
            |t| t[0].index_select(-1, &t[1]),
            vec![six(), i(&[2, 2, 0], &[3])],
            vec![2, 3],
            vec![3.0, 3.0, 1.0, 6.0, 6.0, 4.0],
        ),
        Case(
            "scatter-add",
            |t| t[0].scatter_add(0, &t[1], &t[2]),
            vec![f(&[1.0, 1.0, 1.0], &[3]), i(&[2, 0, 2], &[3]), f(&[5.0, 6.0, 7.0], &[3])],
            vec![3],
            vec![7.0, 1.0, 13.0],
        ),
        Case(
            "scatter-add of integers",
            |t| t[0].scatter_add(0, &t[1], &t[2]),
            vec![i(&[0, 0], &[2]), i(&[1, 1], &[2]), i(&[3, 4], &[2])],
            vec![2],
            vec![0.0, 7.0],
        ),
        Case(
            "where",
            |t| t[0].where_(&t[1], &t[2]),
            vec![b(&[1, 0, 1], &[3]), six(), f(&[-1.0], &[])],
            vec![2, 3],
            vec![1.0, -1.0, 3.0, 4.0, -1.0, 6.0],
        ),
        Case(
            "where of booleans",
            |t| t[0].where_(&t[1], &t[2]),
            vec![b(&[1, 0], &[2]), b(&[0, 0], &[2]), b(&[1, 1], &[2])],
            vec![2],
            vec![0.0, 1.0],
        ),
        Case(
            "masked-fill",
            |t| t[0].masked_fill(&t[1], -9.0),
            vec![six(), b(&[1, 0], &[2, 1])],
            vec![2, 3],
            vec![-9.0, -9.0, -9.0, 4.0, 5.0, 6.0],
        ),
        Case(
            "masked-fill of integers",
            |t| t[0].masked_fill(&t[1], 0.9),
            vec![i(&[-100, 3], &[2]), b(&[1, 0], &[2])],
            vec![2],
            vec![0.0, 3.0],
        ),
        Case("one-hot", |t| t[0].one_hot(3), vec![i(&[2, 0], &[2])], vec![2, 3], vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
        Case(
            "top-k, values",
            |t| Ok(t[0].top_k(2, 1)?.0),
            vec![f(&[3.0, 9.0, 5.0, 1.0, 0.0, 2.0], &[2, 3])],
            vec![2, 2],
            vec![9.0, 5.0, 2.0, 1.0],
        ),
        Case(
            "top-k, places",
            |t| Ok(t[0].top_k(2, -1)?.1),
            vec![f(&[3.0, 9.0, 5.0, 1.0, 0.0, 2.0], &[2, 3])],
            vec![2, 2],
            vec![1.0, 2.0, 2.0, 0.0],
        ),
        Case("top-k of integers", |t| Ok(t[0].top_k(1, 0)?.0), vec![i(&[3, 9, 5], &[3])], vec![1], vec![9.0]),
        Case("sort", |t| Ok(t[0].sort(0, false)?.0), vec![f(&[3.0, 1.0, 2.0], &[3])], vec![3], vec![1.0, 2.0, 3.0]),
        Case(
            "sort, places",
            |t| Ok(t[0].sort(0, true)?.1),
            vec![f(&[3.0, 1.0, 2.0], &[3])],
            vec![3],
            vec![0.0, 2.0, 1.0],
        ),
    ]);
}

#[test]
fn tensors_are_made_from_numbers_and_from_one_another() {
    let device = Device::flex();
    let values = |t: AnyTensor| (t.shape(), t.to_float64().unwrap());
    assert_eq!(values(full(&[2, 1], 2.9, Dtype::Int64, &device).unwrap()), (vec![2, 1], vec![2.0, 2.0]));
    assert_eq!(values(full(&[], 2.5, Dtype::Float32, &device).unwrap()), (vec![], vec![2.5]));
    assert_eq!(values(full(&[2], 7.0, Dtype::Boolean, &device).unwrap()), (vec![2], vec![1.0, 1.0]));
    assert_eq!(values(arange(2, 9, 3, &device).unwrap()), (vec![3], vec![2.0, 5.0, 8.0]));
    assert_eq!(values(arange(3, 0, -1, &device).unwrap()), (vec![3], vec![3.0, 2.0, 1.0]));
    assert_eq!(values(arange(3, 3, 1, &device).unwrap()), (vec![0], vec![]));
    assert_eq!(values(eye(2, Dtype::Float16, &device).unwrap()), (vec![2, 2], vec![1.0, 0.0, 0.0, 1.0]));
    check(vec![
        Case(
            "cat",
            |t| cat(&[&t[0], &t[1]], 1),
            vec![f(&[1.0, 2.0], &[2, 1]), six()],
            vec![2, 4],
            vec![1.0, 1.0, 2.0, 3.0, 2.0, 4.0, 5.0, 6.0],
        ),
        Case(
            "stack",
            |t| stack(&[&t[0], &t[1]], -1),
            vec![f(&[1.0, 2.0], &[2]), f(&[3.0, 4.0], &[2])],
            vec![2, 2],
            vec![1.0, 3.0, 2.0, 4.0],
        ),
        Case("stack of scalars", |t| stack(&[&t[0], &t[0]], 0), vec![f(&[5.0], &[])], vec![2], vec![5.0, 5.0]),
    ]);
}

#[test]
fn facts_describe_the_tensor() {
    let t = six();
    assert_eq!((t.rank(), t.numel(), t.byte_len(), t.dtype()), (2, 6, 48, Dtype::Float64));
    assert!(!t.is_tracked());
    let leaf = t.leaf().unwrap();
    let doubled = leaf.mul_scalar(2.0).unwrap();
    assert!(leaf.is_tracked() && doubled.is_tracked());
    assert!(!doubled.detach().unwrap().is_tracked());
    assert!(doubled.device().is_autodiff() && !doubled.untracked().device().is_autodiff());
    assert_eq!(doubled.untracked().to_float64().unwrap(), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
    assert_eq!(t.typed::<2, burn::tensor::Float>().unwrap().dims(), [2, 3]);
    assert_eq!(AnyTensor::from(t.typed::<2, burn::tensor::Float>().unwrap()).shape(), [2, 3]);
    assert_eq!(f(&[1.0], &[]).typed::<1, burn::tensor::Float>().unwrap().dims(), [1]);
    assert_eq!(f(&[4.25], &[]).item().unwrap(), 4.25);
}
