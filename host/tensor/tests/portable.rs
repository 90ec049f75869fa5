//! The CPU as any other device: the same numbers by burn's operations, and what would go over the bus.
//!
//! A binary of its own, because the choice is the process's.
#![allow(clippy::unwrap_used)]

use retune_tensor::device::{Portable, is_host, portable};
use retune_tensor::transfer::so_far;
use retune_tensor::{AnyTensor, Device, Dtype, Head, Result, from_float32, from_int64, fused, lazy_logits, normal};

/// Score and gradients of hidden states and weight of a head over 50 classes, some of whose rows carry no label.
fn scores(labels: &AnyTensor) -> Result<[Vec<f32>; 3]> {
    let device = Device::flex();
    let hidden = normal(&[9, 12], 0.0, 1.0, 1, &device)?.leaf()?;
    let weight = normal(&[50, 12], 0.0, 1.0, 2, &device)?.leaf()?;
    let head = Head { hidden: hidden.clone(), weight: weight.clone(), bias: None, soft_cap: None };
    let scores = fused::token_log_probs(&lazy_logits(head, &[9], None)?, labels, -100)?;
    let mut gradients = scores.sum(&[], false)?.backward()?;
    let taken = [&hidden, &weight].map(|leaf| gradients.take(leaf).unwrap().to_float32().unwrap());
    let [hidden, weight] = taken;
    Ok([scores.to_float32()?, hidden, weight])
}

#[test]
fn other_devices_get_the_same_scores_and_labels_are_not_read_back_from_them() {
    let device = Device::flex();
    let labels = || from_int64(vec![3, -100, 0, 49, 7, -100, 7, 1, 2], &[9], &device).unwrap();
    assert!(is_host(&device) && is_host(&device.clone().autodiff()) && !portable());
    let expected = scores(&labels()).unwrap();

    let guard = Portable::new();
    assert!(!is_host(&device));
    let labels = labels();
    let before = so_far();
    let found = scores(&labels).unwrap();
    // The scores and two gradients, by the test; neither labels nor indices.
    let moved = so_far() - before;
    assert_eq!((moved.reads, moved.read_bytes), (3, 4 * (9 + 9 * 12 + 50 * 12)));
    for (found, expected) in found.iter().zip(&expected) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} is not {expected}");
        }
    }

    // What the host knows survives changes of shape, and nothing else.
    let before = so_far();
    let grid = labels.reshape(&[3, 3]).unwrap().unsqueeze(0).unwrap().untracked();
    assert_eq!(grid.to_int64().unwrap(), [3, -100, 0, 49, 7, -100, 7, 1, 2]);
    assert_eq!(grid.to_float32().unwrap()[3], 49.0);
    assert_eq!((so_far() - before).reads, 0);
    assert_eq!(grid.add_scalar(1.0).unwrap().to_int64().unwrap()[..3], [4, -99, 1]);
    assert_eq!(grid.transpose(1, 2).unwrap().to_int64().unwrap()[..3], [3, 49, 7]);
    assert_eq!(grid.slice(1, 1, 2, 1).unwrap().to_int64().unwrap(), [49, 7, -100]);
    assert_eq!(grid.cast(Dtype::Int32).unwrap().to_int64().unwrap()[..2], [3, -100]);
    assert_eq!((so_far() - before).reads, 4);
    drop(guard);

    // On the CPU nothing is kept twice.
    assert!(is_host(&device));
    let before = so_far();
    let numbers = from_int64(vec![1, 2], &[2], &device).unwrap();
    assert_eq!(numbers.to_int64().unwrap(), [1, 2]);
    from_float32(vec![0.5; 3], &[3], &device).unwrap();
    let moved = so_far() - before;
    assert_eq!((moved.sends, moved.sent_bytes, moved.reads, moved.read_bytes), (2, 28, 1, 16));
}
