#![allow(clippy::unwrap_used, clippy::panic)]
use retune_tensor::{Device, from_float32};

use super::*;

const GRADIENTS: [[f32; 4]; 5] = [
    [0.1, -0.2, 0.3, 0.0],
    [-0.05, 0.4, 1e-3, 0.0],
    [10.0, 0.0, -0.3, 1e-6],
    [0.7, 0.7, 0.7, 0.7],
    [-1.0, 2.0, -3.0, 4.0],
];
const RATES: [f64; 5] = [0.0, 0.01, 0.02, 0.015, 0.005];
/// torch.optim.AdamW of torch 2.15.0, weight_decay 0.1, from [0.5, -1.25, 2.0, 0.03125].
const TORCH: [[f32; 4]; 5] = [
    [0.5, -1.25, 2.0, 0.03125],
    [0.496_836_63, -1.252_411, 1.991_274_7, 0.031_218_75],
    [0.483_021_5, -1.255_566_1, 1.988_982_4, 0.018_597_461],
    [0.473_830_34, -1.262_901_4, 1.979_080_2, 0.009_852_628],
    [0.471_490_8, -1.265_784_6, 1.980_209_4, 0.006_737_894_4],
];

/// Gradients given as `scale` times too small are the same as torch's. `update` gives value and change.
fn follow(scale: f32, mut update: impl FnMut(Vec<f32>, Vec<f32>, Coefficients) -> (Vec<f32>, f64)) {
    let mut value = vec![0.5, -1.25, 2.0, 0.03125];
    let spec = AdamW::default();
    for (step, ((gradient, learning_rate), expected)) in (1..).zip(GRADIENTS.iter().zip(RATES).zip(TORCH)) {
        let rate = Rate { learning_rate, weight_decay: 0.1 };
        let c = Coefficients::new(&spec, rate, step, f64::from(scale));
        let before = value.clone();
        let (got, squared) = update(value, gradient.iter().map(|g| g / scale).collect(), c);
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= 2e-7 * expected.abs().max(0.1), "step {step}: {got} is not {expected}");
        }
        let expected: f64 = got.iter().zip(&before).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        assert!((squared - expected).abs() <= 1e-6 * expected, "{squared} is not {expected}");
        value = got;
    }
}

fn on_host(state: &mut State, weights: Vec<f32>, gradient: Vec<f32>, coefficients: Coefficients) -> (Vec<f32>, f64) {
    let (shape, device) = (vec![weights.len()], Device::flex());
    let mut all = [Learning { index: 0, weights, shape, device, gradient, state, coefficients }];
    let squared = sweep(&mut all, true).unwrap().iter().map(|(_, swept)| swept.squared).sum();
    let [learning] = all;
    (learning.weights, squared)
}

#[test]
fn an_update_on_the_host_is_that_of_torch() {
    for scale in [1.0, 0.125] {
        let mut state = State::new(Moments::zero_like(&Floats::Host(vec![0.0; 4])).unwrap());
        follow(scale, |value, gradient, c| on_host(&mut state, value, gradient, c));
    }
}

#[test]
fn an_update_by_tensor_operations_is_that_of_torch() {
    let tensor = |values: Vec<f32>| from_float32(values, &[2, 2], &Device::flex()).unwrap();
    let flat = |values: Vec<f32>| from_float32(values, &[4], &Device::flex()).unwrap();
    for scale in [1.0, 0.125] {
        let mut moments = Moments::zero_like(&Floats::Device(flat(vec![0.0; 4]))).unwrap();
        follow(scale, |value, gradient, c| {
            let (new, change) = moments.apply(tensor(value), flat(gradient), c, true).unwrap();
            assert_eq!(new.shape(), [2, 2]);
            (new.to_float32().unwrap(), change.unwrap().item().unwrap())
        });
    }
}

/// Lengths that no group and no piece divides; the gradient begins in one group at a time.
#[test]
fn groups_without_moments_are_updated_to_the_same_bits_as_all_others() {
    let length = 2 * BLOCK + 3 * GROUP + 5;
    let spec = AdamW::default();
    let zeros = || State::new(Moments::zero_like(&Floats::Host(vec![0.0; length])).unwrap());
    let (mut left_out, mut plain) = (zeros(), zeros());
    let weights: Vec<f32> = (0..length).map(|i| (i as f32 * 0.37).sin()).collect();
    let (mut found, mut expected) = (weights.clone(), weights);
    for step in 1..5usize {
        let mut gradient = vec![0.0; length];
        let from = [0, BLOCK + 7 * GROUP + 1, length - 3, 40][step - 1];
        gradient[from..(from + 9).min(length)].fill(0.3 * step as f32);
        gradient[GROUP * 11] = -0.0;
        let c = Coefficients::new(&spec, Rate { learning_rate: 0.01, weight_decay: 0.1 }, step as u64, 0.5);
        // As if every group had moments.
        plain.moved.fill(true);
        let a = on_host(&mut left_out, found, gradient.clone(), c);
        let b = on_host(&mut plain, expected, gradient, c);
        assert!((a.1 - b.1).abs() <= 1e-12 * b.1);
        (found, expected) = (a.0, b.0);
        assert_eq!(found, expected, "step {step}");
    }
    assert!(left_out.moved.iter().filter(|moved| **moved).count() <= 8);
    for (a, b) in [(&left_out.moments.first, &plain.moments.first), (&left_out.moments.second, &plain.moments.second)] {
        assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap());
    }
    assert_eq!(State::new(left_out.moments.clone()).moved, left_out.moved);
}

#[test]
fn a_weight_that_becomes_infinite_or_no_number_is_seen_wherever_it_lies() {
    let length = 2 * BLOCK + 3 * GROUP + 5;
    let c = Coefficients::new(&AdamW::default(), Rate { learning_rate: 1e308, weight_decay: 0.0 }, 1, 1.0);
    for place in [None, Some(0), Some(BLOCK + 1), Some(length - 1)] {
        let mut gradient = vec![0.0; length];
        place.into_iter().for_each(|place: usize| gradient[place] = 0.5);
        let mut state = State::new(Moments::zero_like(&Floats::Host(vec![0.0; length])).unwrap());
        let weights = vec![1.0; length];
        let (shape, device) = (vec![length], Device::flex());
        let mut all = [Learning { index: 0, weights, shape, device, gradient, state: &mut state, coefficients: c }];
        let finite = sweep(&mut all, false).unwrap().iter().all(|(_, swept)| swept.finite);
        // Beside it in the group, zero times infinity is no number.
        assert_eq!(finite, place.is_none(), "{place:?}");
    }
    for good in [f32::MAX, -f32::MAX, f32::MIN_POSITIVE, -0.0] {
        assert!(magnitude(good) < INFINITE, "{good}");
    }
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
        assert!(magnitude(bad) >= INFINITE, "{bad}");
    }
}
