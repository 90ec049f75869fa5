//! How new parameters start.
//!
//! A parameter's values are a function of the seed and of its name: adding a
//! parameter, or loading in another order, changes no other one.

use retune_roles::InitScheme;
use retune_tensor::random::Stream;
use sha2::{Digest, Sha256};

use super::ModelConfig;
use super::inventory::{Entry, Start};

/// How a matrix of a new model is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Normal {
    /// Of the distribution before anything is cut off.
    pub deviation: f64,
    /// Nothing is further out than so many deviations.
    pub cutoff: Option<f64>,
}

impl Normal {
    /// As transformers draws the parameter called `name`.
    pub fn of(config: &ModelConfig, name: &str) -> Self {
        let (shape, initial) = (&config.shape, config.family.initial);
        let module = name.strip_suffix(".weight").unwrap_or(name);
        let ends = |part: &str| module == part || module.ends_with(&format!(".{part}"));
        let pooler = shape.classifier.pooler.map(|pooler| pooler.projection);
        let outward = ends(shape.attention.output) || ends(shape.feed_forward.down) || pooler.is_some_and(ends);
        let deviation = if initial.classifier && module == shape.classifier.name {
            (shape.hidden_size as f64).powf(-0.5)
        } else if initial.outward && outward {
            shape.initializer_range / (2.0 * shape.num_hidden_layers as f64).sqrt()
        } else {
            shape.initializer_range
        };
        let given =
            |(key, default): (&str, f64)| config.raw.get(key).and_then(|value| value.as_f64()).unwrap_or(default);
        Self { deviation, cutoff: initial.cutoff.map(given) }
    }
}

/// The values a new model has there, as Hugging Face initialises it.
pub(super) fn start(entry: &Entry, draw: Normal, seed: u64) -> Vec<f32> {
    match entry.start {
        Start::Normal | Start::NormalTransposed => normal(entry, draw, seed),
        Start::Embedding { padding } => {
            let mut values = normal(entry, draw, seed);
            let width = entry.shape[1];
            if let Some(row) = padding.map(|id| id as usize).filter(|row| *row < entry.shape[0]) {
                values[row * width..(row + 1) * width].fill(0.0);
            }
            values
        }
        // A principal start is put there when the base is.
        Start::Zeros | Start::Principal => vec![0.0; size(entry)],
        Start::Ones => vec![1.0; size(entry)],
        Start::Within(bound) => uniform(entry, bound, seed),
        Start::NormalOf(deviation) => normal(entry, Normal { deviation, cutoff: None }, seed),
        Start::RowNorms { .. } => unreachable!("`{}` starts from another parameter", entry.name),
    }
}

/// New values on request. Vectors are not drawn: biases start at zero, norms at one.
pub(super) fn scheme(entry: &Entry, scheme: InitScheme, seed: u64) -> Vec<f32> {
    let (out, input) = match entry.shape[..] {
        [input, out] if entry.start == Start::NormalTransposed => (out as f64, input as f64),
        [out, input] => (out as f64, input as f64),
        _ => (0.0, 0.0),
    };
    match (scheme, entry.start) {
        (InitScheme::Zeros, _) | (_, Start::Zeros) => vec![0.0; size(entry)],
        (_, Start::Ones) => vec![1.0; size(entry)],
        (InitScheme::Normal(deviation), _) => normal(entry, Normal { deviation, cutoff: None }, seed),
        (InitScheme::KaimingUniform, _) => uniform(entry, (6.0 / input).sqrt(), seed),
        (InitScheme::XavierUniform | InitScheme::Pretrained, _) => uniform(entry, (6.0 / (input + out)).sqrt(), seed),
    }
}

fn size(entry: &Entry) -> usize {
    entry.shape.iter().product()
}

/// Box and Muller 1958: two uniform draws give two normal ones. What is beyond the cutoff is drawn again.
fn normal(entry: &Entry, Normal { deviation, cutoff }: Normal, seed: u64) -> Vec<f32> {
    let bound = cutoff.map_or(f64::INFINITY, |cutoff| cutoff * deviation);
    let mut draws = stream(seed, &entry.name);
    let mut values = Vec::with_capacity(size(entry) + 1);
    while values.len() < size(entry) {
        let radius = deviation * (-2.0 * draws.positive_unit().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * draws.positive_unit()).sin_cos();
        values.extend([radius * cos, radius * sin].into_iter().filter(|x| x.abs() <= bound).map(|x| x as f32));
    }
    values.truncate(size(entry));
    values
}

fn uniform(entry: &Entry, bound: f64, seed: u64) -> Vec<f32> {
    let mut draws = stream(seed, &entry.name);
    (0..size(entry)).map(|_| ((2.0 * draws.positive_unit() - 1.0) * bound) as f32).collect()
}

/// The stream of a parameter.
fn stream(seed: u64, name: &str) -> Stream {
    Stream::new(seed_of(seed, name), 0)
}

/// Where the stream of a parameter begins: a digest of seed and name.
pub(super) fn seed_of(seed: u64, name: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name.as_bytes()).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(name: &str, shape: &[usize], start: Start) -> Entry {
        Entry { name: name.into(), shape: shape.to_vec(), start, layer: 0, head: false, adapter: false }
    }

    fn plain(deviation: f64) -> Normal {
        Normal { deviation, cutoff: None }
    }

    /// Numbers of `_init_weights` in transformers 5.24.
    #[test]
    fn gpt2_and_modernbert_are_drawn_as_transformers_draws_them() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/families");
        let draw = |family: &str, name: &str| {
            let config = ModelConfig::read(&folder.join(family)).unwrap();
            Normal::of(&config, name)
        };
        // Two blocks: one over the root of four.
        for name in ["transformer.h.1.attn.c_proj.weight", "transformer.h.0.mlp.c_proj.weight"] {
            assert_eq!(draw("gpt2", name), plain(0.01), "{name}");
        }
        for name in ["transformer.h.1.attn.c_attn.weight", "transformer.wte.weight", "transformer.h.0.mlp.c_fc.weight"]
        {
            assert_eq!(draw("gpt2", name), plain(0.02), "{name}");
        }
        // Four blocks of width 32.
        let cut = |deviation| Normal { deviation, cutoff: Some(2.0) };
        assert_eq!(draw("modernbert", "model.layers.0.mlp.Wi.weight"), cut(0.02));
        for name in ["model.layers.3.attn.Wo.weight", "model.layers.3.mlp.Wo.weight", "head.dense.weight"] {
            assert_eq!(draw("modernbert", name), cut(0.02 / 8f64.sqrt()), "{name}");
        }
        assert_eq!(draw("modernbert", "classifier.weight"), cut(32f64.powf(-0.5)));
        assert_eq!(draw("qwen2", "model.layers.0.self_attn.o_proj.weight"), plain(0.02));
    }

    #[test]
    fn a_normal_that_is_cut_off_ends_there_and_keeps_its_shape_inside() {
        let draw = Normal { deviation: 0.5, cutoff: Some(2.0) };
        let values = normal(&entry("w", &[200, 200], Start::Normal), draw, 1);
        assert_eq!(values.len(), 40_000);
        assert!(values.iter().all(|x| x.abs() <= 1.0));
        // Of a standard normal between -2 and 2: 0.8796 (1 - 4 phi(2) / (2 Phi(2) - 1), its root).
        let deviation = (values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        assert!((deviation / 0.5 - 0.8796).abs() < 0.01, "{deviation}");
    }

    #[test]
    fn a_normal_start_has_its_mean_deviation_and_tails() {
        let values = normal(&entry("w", &[200, 200], Start::Normal), plain(0.02), 1);
        let n = values.len() as f64;
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let deviation = (values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n).sqrt();
        let beyond_two = values.iter().filter(|x| x.abs() > 0.04).count() as f64 / n;
        assert!(mean.abs() < 4e-4, "{mean}");
        assert!((deviation - 0.02).abs() < 4e-4, "{deviation}");
        assert!((beyond_two - 0.0455).abs() < 0.005, "{beyond_two}");
    }

    #[test]
    fn values_depend_on_seed_and_name_only() {
        let one = entry("a", &[3, 5], Start::Normal);
        assert_eq!(normal(&one, plain(1.0), 7), normal(&one, plain(1.0), 7));
        assert_ne!(normal(&one, plain(1.0), 7), normal(&one, plain(1.0), 8));
        assert_ne!(normal(&one, plain(1.0), 7), normal(&entry("b", &[3, 5], Start::Normal), plain(1.0), 7));
    }

    #[test]
    fn schemes_draw_matrices_within_their_bounds_and_leave_vectors_alone() {
        let matrix = entry("w", &[30, 60], Start::Normal);
        for (kind, bound) in
            [(InitScheme::KaimingUniform, (6.0f32 / 60.0).sqrt()), (InitScheme::XavierUniform, (6.0f32 / 90.0).sqrt())]
        {
            let values = scheme(&matrix, kind, 3);
            let largest = values.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            assert!(largest <= bound && largest > 0.98 * bound, "{kind:?}: {largest} of {bound}");
        }
        assert_eq!(scheme(&matrix, InitScheme::Zeros, 3), vec![0.0; 1800]);
        assert_eq!(scheme(&entry("b", &[4], Start::Zeros), InitScheme::Normal(1.0), 3), vec![0.0; 4]);
        assert_eq!(scheme(&entry("n", &[4], Start::Ones), InitScheme::XavierUniform, 3), vec![1.0; 4]);
    }
}
