//! Attention beside a naive version in float64, whose gradients are central differences.
#![allow(clippy::unwrap_used)]

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Tensor, TensorData};
use retune_tensor::Device;

use super::*;
use crate::model::mask::Rate;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next() * 1.5).collect()
}

/// Spans of these lengths, one after the other.
fn lay(lengths: &[usize]) -> Documents {
    let mut end = 0;
    let spans = lengths.iter().map(|length| {
        end += length;
        end - length..end
    });
    spans.collect()
}

struct Case {
    name: &'static str,
    spans: Spans,
    tokens: usize,
    width: usize,
}

fn case(name: &'static str, lengths: &[usize], [heads, kv_heads, width]: [usize; 3], pattern: Pattern) -> Case {
    let spans = Spans { spans: lay(lengths), heads, kv_heads, pattern, scale: 0.6, soft_cap: None, dropout: None };
    Case { name, spans, tokens: lengths.iter().sum(), width }
}

fn cases() -> Vec<Case> {
    let dropout = |spans: usize| {
        let seeds = (0..spans as u64).map(|i| 71 + i).collect();
        Some(Dropped { rate: Rate::new(0.3).unwrap(), seeds, site: 5 })
    };
    let mut cases = vec![
        case("full", &[5, 1, 19, 2], [2, 2, 8], Pattern::FULL),
        case("one token", &[1], [1, 1, 16], Pattern::FULL),
        case("causal over several blocks", &[39, 1, 70], [2, 1, 4], Pattern::CAUSAL),
        case("grouped heads", &[18, 33], [6, 2, 8], Pattern::CAUSAL),
        case("a window before", &[40, 3], [2, 1, 8], Pattern::window(5, 0)),
        case("a window around", &[70, 17], [2, 2, 3], Pattern::window(21, 4)),
        case("wide heads", &[7, 4], [2, 1, 64], Pattern::FULL),
        case("soft-capped", &[9, 20], [2, 1, 8], Pattern::CAUSAL),
        case("dropout", &[9, 1, 37], [4, 2, 8], Pattern::FULL),
        case("dropout, a window and a soft-cap", &[45, 6], [2, 1, 16], Pattern::window(6, 2)),
        case("tokens outside of every span", &[6, 11], [2, 2, 8], Pattern::FULL),
    ];
    cases[7].spans.soft_cap = Some(0.8);
    cases[8].spans.dropout = dropout(3);
    (cases[9].spans.soft_cap, cases[9].spans.dropout) = (Some(1.1), dropout(2));
    cases[10].spans.spans = [0..6, 9..20].into_iter().collect();
    cases[10].tokens = 22;
    cases
}

impl Case {
    fn widths(&self) -> [usize; 3] {
        [self.spans.heads, self.spans.kv_heads, self.spans.kv_heads].map(|heads| heads * self.width)
    }

    fn inputs(&self) -> [Vec<f32>; 3] {
        let mut seed = 0;
        self.widths().map(|width| {
            seed += 1;
            numbers(self.tokens * width, seed)
        })
    }

    /// The definition, a query at a time.
    fn naive(&self, [q, k, v]: &[Vec<f64>; 3]) -> Vec<f64> {
        let Spans { spans, heads, kv_heads, pattern, scale, soft_cap, dropout } = &self.spans;
        let width = self.width;
        let mut out = vec![0.0; self.tokens * heads * width];
        for (index, span) in spans.iter().enumerate() {
            for head in 0..*heads {
                let kv_head = head / (heads / kv_heads);
                for query in 0..span.len() {
                    let q = &q[((span.start + query) * heads + head) * width..][..width];
                    let key =
                        |x: &[f64], i: usize| x[((span.start + i) * kv_heads + kv_head) * width..][..width].to_vec();
                    let seen: Vec<usize> =
                        (0..span.len()).filter(|i| pattern.seen(query, query + 1, span.len()).contains(i)).collect();
                    assert!(seen.contains(&query));
                    let scores = seen.iter().map(|i| {
                        let score = f64::from(*scale) * q.iter().zip(key(k, *i)).map(|(a, b)| a * b).sum::<f64>();
                        soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                    });
                    let weights: Vec<f64> = scores.map(f64::exp).collect();
                    let total: f64 = weights.iter().sum();
                    for (i, weight) in seen.iter().zip(weights) {
                        let kept = dropout.as_ref().map_or(1.0, |dropout| {
                            let mut factors = vec![0.0; span.len()];
                            dropout.rate.fill(dropout.stream(index, head, query), 0, &mut factors);
                            f64::from(factors[*i])
                        });
                        let out = &mut out[((span.start + query) * heads + head) * width..][..width];
                        out.iter_mut().zip(key(v, *i)).for_each(|(out, v)| *out += kept * weight / total * v);
                    }
                }
            }
        }
        out
    }

    /// Result and gradients of its sum weighted by `coefficients`.
    fn run(&self, coefficients: &[f32]) -> [Vec<f32>; 4] {
        let device = Device::flex().autodiff();
        let widths = self.widths();
        let mut inputs = self.inputs().into_iter().zip(widths);
        let leaves: [Tensor<2>; 3] = std::array::from_fn(|_| {
            let (values, width) = inputs.next().unwrap();
            Tensor::from_data(TensorData::new(values, [self.tokens, width]), &device).require_grad()
        });
        let [q, k, v] = leaves.clone();
        let out = attention(q, k, v, self.spans.clone());
        let values = out.clone().inner().into_data().try_into_vec().unwrap();
        let coefficients = TensorData::new(coefficients.to_vec(), out.dims());
        let gradients = (out * Tensor::from_data(coefficients, &device)).sum().backward();
        let [q, k, v] = leaves.map(|x| x.grad(&gradients).unwrap().into_data().try_into_vec().unwrap());
        [values, q, k, v]
    }
}

fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - expected).abs();
        assert!(difference <= tolerance * expected.abs().max(1.0), "{what}, element {i}: {found} is not {expected}");
    }
}

#[test]
fn attention_is_its_definition_in_float64_and_its_gradients_are_its_differences() {
    for case in cases() {
        let mut inputs = case.inputs().map(|x| x.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>());
        let expected = case.naive(&inputs);
        let coefficients = numbers(expected.len(), 9);
        let found = case.run(&coefficients);
        assert_close(case.name, &found[0], &expected, 2e-6);

        let objective = |inputs: &[Vec<f64>; 3]| -> f64 {
            case.naive(inputs).iter().zip(&coefficients).map(|(out, c)| out * f64::from(*c)).sum()
        };
        const STEP: f64 = 1e-5;
        for (part, found) in found[1..].iter().enumerate() {
            // Every 7th of the inputs, which are laid out in strides that 7 does not divide.
            for i in (0..inputs[part].len()).step_by(7) {
                let at = inputs[part][i];
                inputs[part][i] = at + STEP;
                let above = objective(&inputs);
                inputs[part][i] = at - STEP;
                let slope = (above - objective(&inputs)) / (2.0 * STEP);
                inputs[part][i] = at;
                let what = format!("{}: gradient {part}, element {i}", case.name);
                assert_close(&what, &found[i..i + 1], &[slope], 4e-6);
            }
        }
    }
}

#[test]
fn what_a_gpu_runs_gives_the_same() {
    let flat = |values: Vec<f32>, width: usize| {
        let shape = [values.len() / width, width];
        Flex::float_from_data(TensorData::new(values, shape), &Default::default())
    };
    let list = |x: FloatTensor<Flex>| x.into_data().try_into_vec::<f32>().unwrap();
    for case in cases() {
        let (inputs, widths) = (case.inputs(), case.widths());
        let [q, k, v] = [0, 1, 2].map(|i| flat(inputs[i].clone(), widths[i]));
        let grad = flat(numbers(inputs[0].len(), 9), widths[0]);
        let expected = case.run(&numbers(inputs[0].len(), 9));
        let out = padded_attention::forward::<Flex>(q.clone(), k.clone(), v.clone(), &case.spans);
        // The same documents with another pattern: what was prepared of them is not that of a pattern.
        let other = Spans { pattern: Pattern::window(0, 0), dropout: None, ..case.spans.clone() };
        padded_attention::forward::<Flex>(q.clone(), k.clone(), v.clone(), &other);
        let (q, k, v) = padded_attention::backward::<Flex>(q, k, v, grad, &case.spans);
        for (found, expected) in [out, q, k, v].map(list).iter().zip(&expected) {
            let expected: Vec<f64> = expected.iter().map(|x| f64::from(*x)).collect();
            assert_close(case.name, found, &expected, 4e-6);
        }
    }
}

#[test]
fn queries_keys_and_values_are_read_where_they_lie() {
    let case = case("parts of one projection", &[7, 20], [2, 1, 8], Pattern::CAUSAL);
    let [q, k, v] = case.inputs();
    let joined: Vec<f32> =
        (0..case.tokens).flat_map(|t| [&q[t * 16..][..16], &k[t * 8..][..8], &v[t * 8..][..8]].concat()).collect();
    let joined = Tensor::<2>::from_data(TensorData::new(joined, [case.tokens, 32]), &Device::flex());
    let part = |start, width| joined.clone().narrow(1, start, width);
    let out = attention(part(0, 16), part(16, 8), part(24, 8), case.spans.clone());
    let out: Vec<f32> = out.into_data().try_into_vec().unwrap();
    assert_eq!(out, case.run(&[1.0; 27 * 16])[0]);
}

#[test]
fn a_span_gives_the_same_bits_alone_and_among_others_on_any_number_of_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    for case in cases() {
        let coefficients = numbers(case.inputs()[0].len(), 9);
        let all = pool(1).install(|| case.run(&coefficients));
        assert_eq!(all, pool(3).install(|| case.run(&coefficients)), "{}", case.name);
        let alone = Spans { spans: case.spans.spans[..1].iter().cloned().collect(), ..case.spans.clone() };
        let alone = Case { spans: alone, ..case };
        let first = alone.spans.spans[0].end * alone.widths()[0];
        assert_eq!(all[0][..first], alone.run(&coefficients)[0][..first], "{}", alone.name);
    }
}

#[test]
fn probabilities_drop_out_as_a_function_of_row_site_head_query_and_key() {
    // Without scores all probabilities are 1/3; each key's value is a unit vector, so they can be read.
    let device = Device::flex();
    let (heads, keys) = (2, 3);
    let zeros = Tensor::<2>::zeros([2 * keys, heads * keys], &device);
    let units: Vec<f32> =
        (0..2 * keys * heads * keys).map(|i| f32::from(i % keys == i / (heads * keys) % keys)).collect();
    let units = Tensor::<2>::from_data(TensorData::new(units, [2 * keys, heads * keys]), &device);
    let mut spans = case("", &[keys, keys], [heads, heads, keys], Pattern::FULL).spans;
    spans.dropout = Some(Dropped { rate: Rate::new(0.4).unwrap(), seeds: [3, 8].into(), site: 12 });
    let out: Vec<f32> = attention(zeros.clone(), zeros, units, spans).into_data().try_into_vec().unwrap();

    // As float masks drew them: span by span, head by head, query by query.
    const KEPT: [u8; 36] =
        [0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0];
    for (i, kept) in KEPT.iter().enumerate() {
        let (key, query, head, span) = (i % keys, i / keys % keys, i / keys / keys % heads, i / keys / keys / heads);
        let found = out[((span * keys + query) * heads + head) * keys + key];
        let expected = f32::from(*kept) / 3.0 / 0.6;
        assert!((found - expected).abs() < 1e-5, "span {span}, head {head}, query {query}, key {key}: {found}");
    }
}

#[test]
fn other_devices_drop_the_same_probabilities_to_the_bit() {
    for (lengths, heads) in [(vec![5, 1, 19, 2], 2), (vec![4], 3), (vec![33, 18], 1)] {
        let longest = *lengths.iter().max().unwrap();
        let seeds = (0..lengths.len() as u64).map(|i| u64::MAX - 71 * i).collect();
        let dropout = Dropped { rate: Rate::new(0.3).unwrap(), seeds, site: 5 };
        let found = factors::of_probabilities::<Flex>(&dropout, heads, longest, &Default::default());
        let found = found.into_data().try_into_vec::<f32>().unwrap();
        let mut expected = vec![0.0; longest];
        for (line, found) in found.chunks_exact(longest).enumerate() {
            let (query, head, span) = (line % longest, line / longest % heads, line / longest / heads);
            dropout.rate.fill(dropout.stream(span, head, query), 0, &mut expected);
            assert_eq!(found, expected, "span {span}, head {head}, query {query}");
        }
    }
}
