//! Random tensors are a function of the seed, with the moments they promise.

use retune_tensor::random::bits;
use retune_tensor::{Device, normal, uniform};

#[test]
fn the_generator_is_splitmix64() {
    // The first three outputs for seed 1234567, as published with the reference implementation.
    let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
    assert_eq!([bits(1_234_567, 0), bits(1_234_567, 1), bits(1_234_567, 2)], expected);
}

#[test]
fn the_same_seed_gives_the_same_values_and_a_longer_tensor_begins_alike() {
    let device = Device::flex();
    let short = normal(&[4], 0.0, 1.0, 9, &device).unwrap().to_float32().unwrap();
    let long = normal(&[3, 1000], 0.0, 1.0, 9, &device).unwrap().to_float32().unwrap();
    assert_eq!(short, long[..4]);
    assert_ne!(short, normal(&[4], 0.0, 1.0, 10, &device).unwrap().to_float32().unwrap());
    assert_eq!(short, normal(&[4], 0.0, 1.0, 9, &device.autodiff()).unwrap().to_float32().unwrap());
}

#[test]
fn moments_are_those_of_the_distribution() {
    let n = 200_000;
    let moments = |values: &[f32]| {
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
        (mean, values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n as f64)
    };
    let values = uniform(&[n], -1.0, 3.0, 3, &Device::flex()).unwrap().to_float32().unwrap();
    assert!(values.iter().all(|v| (-1.0..3.0).contains(v)));
    let (mean, variance) = moments(&values);
    assert!((mean - 1.0).abs() < 0.02 && (variance - 16.0 / 12.0).abs() < 0.02, "{mean} {variance}");
    let (mean, variance) = moments(&normal(&[n], 2.0, 0.5, 4, &Device::flex()).unwrap().to_float32().unwrap());
    assert!((mean - 2.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
}

#[test]
fn a_range_of_nothing_gives_its_only_value_and_a_wrong_one_is_refused() {
    let device = Device::flex();
    assert_eq!(uniform(&[3], 0.5, 0.5, 1, &device).unwrap().to_float32().unwrap(), [0.5; 3]);
    assert!(uniform(&[3], 1.0, 0.0, 1, &device).is_err());
    assert!(normal(&[3], 0.0, -1.0, 1, &device).is_err());
    assert!(normal(&[3], f64::NAN, 1.0, 1, &device).is_err());
}
