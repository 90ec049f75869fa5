//! Logits that do not exist, against the same logits made.

use retune_tensor::{AnyTensor, Device, Dtype, Head, Result, cat, from_float64, fused, lazy_logits};

use crate::{assert_near, i};

const IGNORE: i64 = -100;

/// Hidden states, weight and bias, which may be leaves; and where the tokens stand.
struct Case {
    parts: [AnyTensor; 3],
    biased: bool,
    cap: Option<f64>,
    lead: Vec<usize>,
    rows: Option<Vec<Option<u32>>>,
    labels: AnyTensor,
}

fn wave(length: usize, step: f64, height: f64, shape: &[usize]) -> AnyTensor {
    let values = (0..length).map(|i| (i as f64 * step + 0.3).sin() * height).collect();
    from_float64(values, shape, &Device::flex()).unwrap()
}

const WIDTH: usize = 4;
const VOCAB: usize = 11;

impl Case {
    /// Two rows of three and two tokens, padded to three; the last label of each ignored.
    fn padded(biased: bool, cap: Option<f64>) -> Self {
        Self {
            parts: [
                wave(5 * WIDTH, 0.7, 1.5, &[5, WIDTH]),
                wave(VOCAB * WIDTH, 0.31, 1.2, &[VOCAB, WIDTH]),
                wave(VOCAB, 1.1, 2.0, &[VOCAB]),
            ],
            biased,
            cap,
            lead: vec![2, 3],
            rows: Some(vec![Some(0), Some(1), Some(2), Some(3), Some(4), None]),
            labels: i(&[4, 9, IGNORE, 0, IGNORE, IGNORE], &[2, 3]),
        }
    }

    /// Five tokens, each a position.
    fn flat() -> Self {
        let labels = i(&[4, IGNORE, 0, 10, 3], &[5]);
        Self { lead: vec![5], rows: None, labels, ..Self::padded(false, None) }
    }

    fn all() -> Vec<Self> {
        vec![Self::padded(false, None), Self::padded(true, None), Self::padded(true, Some(2.5)), Self::flat()]
    }

    fn cast(mut self, dtype: Dtype) -> Self {
        self.parts = self.parts.map(|part| part.cast(dtype).unwrap());
        self
    }

    fn leaves(&self) -> Self {
        let parts = self.parts.each_ref().map(|part| part.leaf().unwrap());
        let (lead, rows, labels) = (self.lead.clone(), self.rows.clone(), self.labels.clone());
        Self { parts, lead, rows, labels, ..*self }
    }

    fn lazy(&self) -> AnyTensor {
        let [hidden, weight, bias] = self.parts.clone();
        let bias = self.biased.then_some(bias);
        lazy_logits(Head { hidden, weight, bias, soft_cap: self.cap }, &self.lead, self.rows.clone()).unwrap()
    }

    /// The same in plain operations.
    fn plain(&self) -> AnyTensor {
        let [hidden, weight, bias] = &self.parts;
        let mut logits = hidden.matmul(&weight.transpose(0, 1).unwrap()).unwrap();
        if self.biased {
            logits = logits.add(bias).unwrap();
        }
        if let Some(cap) = self.cap {
            logits = logits.mul_scalar(1.0 / cap).unwrap().tanh().unwrap().mul_scalar(cap).unwrap();
        }
        if let Some(rows) = &self.rows {
            let nothing = logits.slice(0, 0, 1, 1).unwrap().mul_scalar(0.0).unwrap();
            let index: Vec<i64> = rows.iter().map(|row| row.map_or(5, i64::from)).collect();
            logits = cat(&[&logits, &nothing], 0).unwrap().index_select(0, &i(&index, &[rows.len()])).unwrap();
        }
        let shape: Vec<i32> = self.lead.iter().chain([&VOCAB]).map(|n| *n as i32).collect();
        logits.reshape(&shape).unwrap()
    }
}

type Body<'a> = &'a dyn Fn(&AnyTensor, &AnyTensor) -> Result<AnyTensor>;

const BODIES: [(&str, Body<'static>); 6] = [
    ("token-log-probs", &|x, labels| fused::token_log_probs(x, labels, IGNORE)),
    ("mean-log-probs", &|x, _| fused::mean_log_probs(x)),
    ("entropy", &|x, _| fused::entropy(x)),
    ("two of them", &|x, labels| {
        let spread = fused::mean_log_probs(x)?.masked_fill(&labels.eq_scalar(IGNORE as f64)?, 0.0)?;
        fused::token_log_probs(x, labels, IGNORE)?.mul_scalar(0.9)?.add(&spread.mul_scalar(0.1)?)
    }),
    ("kl-div", &|x, _| fused::kl_div(x, &x.detach()?.mul_scalar(0.5)?, 2.0, false)),
    ("a plain operation", &|x, _| x.softmax(-1)?.mul(x)?.sum(&[-1], false)),
];

/// Plain tensors, so that nothing fused is used on the other side.
fn plainly(name: &str, x: &AnyTensor, labels: &AnyTensor) -> AnyTensor {
    let log_p = x.log_softmax(-1).unwrap();
    let token = || {
        let ignored = labels.eq_scalar(IGNORE as f64).unwrap();
        let index = labels.masked_fill(&ignored, 0.0).unwrap().unsqueeze(-1).unwrap();
        log_p.gather(-1, &index).unwrap().squeeze(-1).unwrap().masked_fill(&ignored, 0.0).unwrap()
    };
    match name {
        "token-log-probs" => token(),
        "mean-log-probs" => log_p.mean(&[-1], false).unwrap(),
        "entropy" => log_p.exp().unwrap().mul(&log_p).unwrap().sum(&[-1], false).unwrap().neg().unwrap(),
        "two of them" => {
            let ignored = labels.eq_scalar(IGNORE as f64).unwrap();
            let spread = log_p.mean(&[-1], false).unwrap().masked_fill(&ignored, 0.0).unwrap();
            token().mul_scalar(0.9).unwrap().add(&spread.mul_scalar(0.1).unwrap()).unwrap()
        }
        "kl-div" => {
            let log_p = x.detach().unwrap().mul_scalar(0.25).unwrap().log_softmax(-1).unwrap();
            let log_q = x.mul_scalar(0.5).unwrap().log_softmax(-1).unwrap();
            log_p.exp().unwrap().mul(&log_p.sub(&log_q).unwrap()).unwrap().sum(&[-1], false).unwrap()
        }
        _ => x.softmax(-1).unwrap().mul(x).unwrap().sum(&[-1], false).unwrap(),
    }
}

/// No two rows weigh the same.
fn weighed(out: &AnyTensor) -> AnyTensor {
    let weights = (0..out.numel()).map(|k| 1.0 + (k as f64).cos() / 2.0).collect();
    let weights = from_float64(weights, &out.shape(), &Device::flex()).unwrap().cast(out.dtype()).unwrap();
    out.mul(&weights).unwrap().sum(&[], false).unwrap()
}

fn gradients(case: &Case, out: &AnyTensor) -> Vec<Vec<f64>> {
    let mut found = weighed(out).backward().unwrap();
    let taken = case.parts.iter().take(if case.biased { 3 } else { 2 });
    taken.map(|part| found.take(part).unwrap().to_float64().unwrap()).collect()
}

#[test]
fn each_operation_gives_the_values_and_gradients_of_the_logits_made() {
    for (dtype, tolerance) in [(Dtype::Float64, 1e-12), (Dtype::Float32, 1e-5)] {
        for case in Case::all() {
            let exact = case.leaves();
            let case = case.cast(dtype).leaves();
            for (name, body) in BODIES {
                let expected = plainly(name, &exact.plain(), &exact.labels);
                let found = body(&case.lazy(), &case.labels).unwrap();
                assert_eq!(found.shape(), expected.shape(), "{name}");
                assert!(found.is_tracked(), "{name}");
                assert_near(name, &found.to_float64().unwrap(), &expected.to_float64().unwrap(), tolerance);
                for (found, expected) in gradients(&case, &found).iter().zip(gradients(&exact, &expected)) {
                    assert_near(&format!("gradient of {name} in {dtype}"), found, &expected, tolerance);
                }
            }
        }
    }
}

#[test]
fn without_a_gradient_the_values_are_the_same_and_nothing_is_recorded() {
    for case in Case::all() {
        let leaves = case.leaves();
        for (name, body) in BODIES {
            let expected = plainly(name, &case.plain(), &case.labels).to_float64().unwrap();
            for logits in [case.lazy(), leaves.lazy().untracked(), leaves.lazy().detach().unwrap()] {
                let found = body(&logits, &case.labels).unwrap();
                assert!(!found.is_tracked(), "{name}");
                assert_near(name, &found.to_float64().unwrap(), &expected, 1e-12);
            }
        }
    }
}

#[test]
fn finite_differences_confirm_the_gradients() {
    for case in Case::all() {
        for (name, body) in BODIES.into_iter().take(4) {
            let leaves = case.leaves();
            let found = gradients(&leaves, &body(&leaves.lazy(), &case.labels).unwrap());
            for (part, found) in found.iter().enumerate() {
                for (place, slope) in found.iter().enumerate() {
                    let value = |by: f64| {
                        let mut moved = case.leaves();
                        let mut values = case.parts[part].to_float64().unwrap();
                        values[place] += by;
                        moved.parts[part] = from_float64(values, &case.parts[part].shape(), &Device::flex()).unwrap();
                        weighed(&body(&moved.lazy(), &case.labels).unwrap()).item().unwrap()
                    };
                    let expected = (value(1e-5) - value(-1e-5)) / 2e-5;
                    assert!((slope - expected).abs() < 1e-8, "{name}, part {part} at {place}: {slope}, not {expected}");
                }
            }
        }
    }
}

#[test]
fn a_head_tied_to_a_table_gives_the_table_both_gradients() {
    let case = Case::flat();
    let ids = i(&[7, 0, 3, 3, 10], &[5]);
    let run = |lazily: bool| {
        let table = case.parts[1].leaf().unwrap();
        let hidden = table.index_select(0, &ids).unwrap().tanh().unwrap();
        let tied = Case { parts: [hidden, table.clone(), case.parts[2].clone()], ..Case::flat() };
        let out = match lazily {
            true => fused::token_log_probs(&tied.lazy(), &tied.labels, IGNORE).unwrap(),
            false => plainly("token-log-probs", &tied.plain(), &tied.labels),
        };
        weighed(&out).backward().unwrap().take(&table).unwrap().to_float64().unwrap()
    };
    assert_near("table", &run(true), &run(false), 1e-12);
}

#[test]
fn where_all_labels_are_ignored_the_loss_and_its_gradient_are_zero() {
    for dtype in [Dtype::Float32, Dtype::Float64] {
        let case = Case::padded(true, None).cast(dtype).leaves();
        let labels = i(&[IGNORE; 6], &[2, 3]);
        let out = fused::token_log_probs(&case.lazy(), &labels, IGNORE).unwrap();
        assert_eq!(out.to_float64().unwrap(), [0.0; 6]);
        assert!(gradients(&case, &out).iter().flatten().all(|g| *g == 0.0));
    }
}

#[test]
fn a_part_that_does_not_learn_is_given_no_gradient() {
    let case = Case::padded(false, None).cast(Dtype::Float32);
    for learns in 0..2 {
        let mut parts = case.parts.clone();
        parts[learns] = parts[learns].leaf().unwrap();
        let some = Case { parts, ..case.leaves() };
        let out = fused::token_log_probs(&some.lazy(), &some.labels, IGNORE).unwrap();
        let found = weighed(&out).backward().unwrap().take(&some.parts[learns]).unwrap().to_float64().unwrap();
        let all = case.leaves();
        let both = gradients(&all, &fused::token_log_probs(&all.lazy(), &all.labels, IGNORE).unwrap());
        assert_near("gradient", &found, &both[learns], 1e-6);
    }
}

#[test]
fn its_facts_are_those_of_the_logits() {
    let lazy = Case::padded(true, None).cast(Dtype::Float32).lazy();
    assert!(lazy.is_lazy() && !lazy.is_tracked());
    assert_eq!((lazy.shape(), lazy.rank(), lazy.dtype()), (vec![2, 3, VOCAB], 3, Dtype::Float32));
    assert_eq!((lazy.numel(), lazy.byte_len()), (66, 264));
    let whole = lazy.whole().unwrap();
    assert!(!whole.is_lazy());
    assert_eq!((whole.shape(), whole.dtype()), (lazy.shape(), lazy.dtype()));
    assert_eq!(lazy.to_float32().unwrap(), whole.to_float32().unwrap());
}

#[test]
fn any_other_operation_sees_the_logits() {
    for case in Case::all() {
        let (lazy, plain) = (case.lazy(), case.plain());
        let same = |what: &str, op: &dyn Fn(&AnyTensor) -> AnyTensor| {
            assert_near(what, &op(&lazy).to_float64().unwrap(), &op(&plain).to_float64().unwrap(), 1e-12);
        };
        same("values", &AnyTensor::clone);
        same("arg-max", &|x| x.arg_max(-1, false).unwrap());
        same("slice", &|x| x.slice(0, 0, 1, 1).unwrap());
        same("cat", &|x| cat(&[x, x], 0).unwrap());
        same("reshape", &|x| x.reshape(&[-1]).unwrap());
        same("cast", &|x| x.cast(Dtype::Float32).unwrap());
    }
}

#[test]
fn hits_are_counted_at_labels_alone() {
    for case in Case::all() {
        let largest = case.plain().arg_max(-1, false).unwrap().to_int64().unwrap();
        let labels = case.labels.to_int64().unwrap();
        let counted = labels.iter().filter(|label| **label != IGNORE).count() as u64;
        for take in 0..3 {
            // Labels that are right at every `take`-th position.
            let some: Vec<i64> = (0..labels.len())
                .map(|k| if labels[k] != IGNORE && take > 0 && k % take == 0 { largest[k] } else { labels[k] })
                .collect();
            let expected = some.iter().zip(&largest).filter(|(label, found)| label == found).count() as u64;
            let some = i(&some, &case.labels.shape());
            assert_eq!(fused::hits(&case.lazy(), &some, IGNORE).unwrap(), (expected, counted));
            assert_eq!(fused::hits(&case.plain(), &some, IGNORE).unwrap(), (expected, counted));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::padded(true, None);
        change(&mut case);
        let [hidden, weight, bias] = case.parts;
        let head = Head { hidden, weight, bias: Some(bias), soft_cap: case.cap };
        lazy_logits(head, &case.lead, case.rows).unwrap_err().to_string()
    };
    let said = refused(&|case| case.parts[1] = wave(12, 1.0, 1.0, &[4, 3]));
    assert_eq!(said, "`logits`: hidden states of shape [5, 4] do not fit a weight of shape [4, 3]");
    let said = refused(&|case| case.parts[2] = wave(3, 1.0, 1.0, &[3]));
    assert_eq!(said, "`logits`: a bias of shape [3] for 11 classes");
    let said = refused(&|case| case.lead = vec![7]);
    assert_eq!(said, "`logits`: 6 rows for positions of shape [7]");
    let said = refused(&|case| case.rows = Some(vec![Some(5); 6]));
    assert_eq!(said, "`logits`: a position names a row that the 5 hidden states do not have");
    assert_eq!(refused(&|case| case.rows = None), "`logits`: 5 hidden states for positions of shape [2, 3]");
    assert_eq!(refused(&|case| case.cap = Some(0.0)), "`logits`: the soft cap 0 is not a positive number");
    let said = refused(&|case| case.parts[0] = case.parts[0].cast(Dtype::Float32).unwrap());
    assert_eq!(said, "`logits`: the hidden states are float32, the head is float64");
}

#[test]
fn logits_beyond_the_limit_of_a_tensor_are_scored_but_not_made() {
    let lazy = Case::padded(false, None).lazy();
    retune_tensor::with_largest(500, || {
        assert!(fused::entropy(&lazy).is_ok());
        let said = lazy.softmax(-1).unwrap_err().to_string();
        assert_eq!(said, "`logits`: a tensor of shape [2, 3, 11] (float64) is larger than the 500 bytes allowed");
    });
    assert!(lazy.softmax(-1).is_ok());
}
