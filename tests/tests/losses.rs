//! The loss plugins in the sandbox: cross-entropy where they should be, and
//! gradients that finite differences confirm.

#![allow(clippy::unwrap_used)]

mod plugged;

use retune_roles::builtin::CrossEntropy;
use retune_roles::{Batch, Loss, Progress};
use retune_tensor::{AnyTensor, Device, Head, from_float32, from_float64, from_int64, lazy_logits, normal};
use serde_json::json;

/// A task with some logits: 4 rows over 3 classes, or 2 x 3 tokens over 5 with two ignored.
#[derive(Clone, Copy, Debug)]
enum Task {
    Rows,
    Tokens,
}

impl Task {
    fn shape(self) -> &'static [usize] {
        match self {
            Task::Rows => &[4, 3],
            Task::Tokens => &[2, 3, 5],
        }
    }

    fn logits(self) -> Vec<f64> {
        (0..self.shape().iter().product::<usize>()).map(|i| (i as f64 * 1.7 + 0.3).sin() * 2.5).collect()
    }

    fn batch(self, logits: AnyTensor) -> Batch {
        let device = Device::flex();
        let labels = match self {
            Task::Rows => from_int64(vec![0, 2, 1, 2], &[4], &device),
            Task::Tokens => from_int64(vec![4, -100, 0, 2, 1, -100], &[2, 3], &device),
        };
        Batch::new(vec!["row".into(); self.shape()[0]]).with("logits", logits).with("labels", labels.unwrap())
    }

    fn value(self, loss: &mut dyn Loss, logits: &[f64]) -> f64 {
        let logits = from_float64(logits.to_vec(), self.shape(), &Device::flex()).unwrap();
        loss.compute(&self.batch(logits), &Progress::default()).unwrap().numerator.item().unwrap()
    }
}

/// Numerator, denominator, and the numerator's gradient.
fn differentiated(loss: &mut dyn Loss, task: Task, logits: &AnyTensor) -> (f64, f64, Vec<f64>) {
    let leaf = logits.leaf().unwrap();
    let output = loss.compute(&task.batch(leaf.clone()), &Progress::default()).unwrap();
    let value = output.numerator.item().unwrap();
    let gradient = output.numerator.backward().unwrap().take(&leaf).unwrap();
    let gradient = gradient.to_float32().unwrap().into_iter().map(f64::from).collect();
    (value, output.denominator.item().unwrap(), gradient)
}

#[test]
fn without_their_twist_they_are_the_built_in_cross_entropy() {
    for (task, mut built_in) in
        [(Task::Rows, CrossEntropy::for_sequences()), (Task::Tokens, CrossEntropy::for_tokens())]
    {
        let values = task.logits().into_iter().map(|x| x as f32).collect();
        let logits = from_float32(values, task.shape(), &Device::flex()).unwrap();
        let expected = differentiated(&mut built_in, task, &logits);
        for (name, config) in [("focal", json!({ "gamma": 0.0 })), ("label-smoothing", json!({ "smoothing": 0.0 }))] {
            let found = differentiated(&mut *plugged::loss(name, &config), task, &logits);
            assert!((found.0 - expected.0).abs() <= 1e-6 * expected.0, "{name}, {task:?}: {} {}", found.0, expected.0);
            assert_eq!(found.1, expected.1, "{name}, {task:?}");
            for (a, b) in found.2.iter().zip(&expected.2) {
                assert!((a - b).abs() <= 1e-6, "{name}, {task:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn finite_differences_confirm_their_gradients() {
    let settings = [
        ("focal", json!({ "gamma": 0.5 })),
        ("focal", json!({ "gamma": 1.0 })),
        ("focal", json!({ "gamma": 2.0 })),
        ("focal", json!({ "gamma": 5.0 })),
        ("label-smoothing", json!({ "smoothing": 0.1 })),
        ("label-smoothing", json!({ "smoothing": 0.6 })),
    ];
    for task in [Task::Rows, Task::Tokens] {
        for (name, config) in &settings {
            let mut loss = plugged::loss(name, config);
            let values = task.logits();
            let logits = from_float64(values.clone(), task.shape(), &Device::flex()).unwrap();
            let (_, _, gradient) = differentiated(&mut *loss, task, &logits);
            let h = 1e-4;
            for (i, found) in gradient.iter().enumerate() {
                let mut moved = |by: f64| {
                    let mut values = values.clone();
                    values[i] += by;
                    task.value(&mut *loss, &values)
                };
                let slope = (moved(h) - moved(-h)) / (2.0 * h);
                assert!((found - slope).abs() < 1e-6, "{name} {config}, {task:?}, logit {i}: {found} is not {slope}");
            }
        }
    }
}

/// The slope of (1 - p)^0.5 is infinite at p = 1; infinity times zero is NaN.
#[test]
fn a_certain_row_gives_a_finite_gradient_whatever_gamma_is() {
    for gamma in [0.0, 0.1, 0.5, 1.0, 2.0] {
        let values = vec![120.0, 0.0, 0.0, 0.0, 0.0, 90.0, 0.0, 60.0, 0.0, 0.0, 0.0, 40.0];
        let logits = from_float32(values, &[4, 3], &Device::flex()).unwrap();
        let (value, _, gradient) =
            differentiated(&mut *plugged::loss("focal", &json!({ "gamma": gamma })), Task::Rows, &logits);
        assert!(value.is_finite() && gradient.iter().all(|x| x.is_finite()), "γ {gamma}: {value}, {gradient:?}");
    }
}

/// Numerator, and its gradients for hidden states and weight, when a head of 3000 classes is run for the loss or before it.
fn through_a_head(loss: &mut dyn Loss, lazily: bool) -> (f64, [Vec<f32>; 2]) {
    let device = Device::flex();
    let (tokens, width, vocab) = (6, 8, 3000);
    let hidden = normal(&[tokens, width], 0.0, 1.0, 1, &device).unwrap().leaf().unwrap();
    let weight = normal(&[vocab, width], 0.0, 0.7, 2, &device).unwrap().leaf().unwrap();
    let logits = if lazily {
        let head = Head { hidden: hidden.clone(), weight: weight.clone(), bias: None, soft_cap: None };
        lazy_logits(head, &[2, 3], None).unwrap()
    } else {
        hidden.matmul(&weight.transpose(0, 1).unwrap()).unwrap().reshape(&[2, 3, -1]).unwrap()
    };
    assert_eq!(logits.is_lazy(), lazily);
    let labels = from_int64(vec![4, -100, 2999, 2, 1000, -100], &[2, 3], &device).unwrap();
    let batch = Batch::new(vec!["row".into(); 2]).with("logits", logits).with("labels", labels);
    let numerator = loss.compute(&batch, &Progress::default()).unwrap().numerator;
    let mut gradients = numerator.backward().unwrap();
    let taken = [&hidden, &weight].map(|leaf| gradients.take(leaf).unwrap().to_float32().unwrap());
    (numerator.item().unwrap(), taken)
}

#[test]
fn on_logits_that_do_not_exist_they_give_the_loss_and_gradients_of_logits_that_do() {
    let weights: Vec<f64> = (0..3000).map(|class| 0.5 + f64::from(class % 7)).collect();
    let plugins: [(&str, _); 3] = [
        ("focal", json!({ "gamma": 2.0 })),
        ("focal", json!({ "gamma": 0.5, "alpha": weights })),
        ("label-smoothing", json!({ "smoothing": 0.1 })),
    ];
    let losses = plugins.map(|(name, config)| plugged::loss(name, &config));
    for mut loss in losses.into_iter().chain([Box::new(CrossEntropy::for_tokens()) as Box<dyn Loss>]) {
        let (lazy, made) = (through_a_head(&mut *loss, true), through_a_head(&mut *loss, false));
        assert!((lazy.0 - made.0).abs() <= 1e-5 * made.0, "{}: {} is not {}", loss.name(), lazy.0, made.0);
        for (found, expected) in lazy.1.iter().zip(&made.1) {
            let most = expected.iter().fold(0f32, |most, g| most.max(g.abs()));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-5 * most, "{}: {found} is not {expected}", loss.name());
            }
        }
    }
}
