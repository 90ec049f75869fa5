//! How new parameters start.
//!
//! A parameter's values are a function of the seed and of its name: adding a
//! parameter, or loading in another order, changes no other one.

use retune_roles::InitScheme;
use retune_tensor::random::Stream;
use sha2::{Digest, Sha256};

use super::inventory::{Entry, Start};

/// The values a new model has there, as Hugging Face initialises it; `deviation` is the config's `initializer_range`.
pub(super) fn start(entry: &Entry, deviation: f64, seed: u64) -> Vec<f32> {
    match entry.start {
        Start::Normal | Start::NormalTransposed => normal(entry, deviation, seed),
        Start::Embedding { padding } => {
            let mut values = normal(entry, deviation, seed);
            let width = entry.shape[1];
            if let Some(row) = padding.map(|id| id as usize).filter(|row| *row < entry.shape[0]) {
                values[row * width..(row + 1) * width].fill(0.0);
            }
            values
        }
        Start::Zeros => vec![0.0; size(entry)],
        Start::Ones => vec![1.0; size(entry)],
        Start::Within(bound) => uniform(entry, bound, seed),
        Start::NormalOf(deviation) => normal(entry, deviation, seed),
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
        (InitScheme::Normal(deviation), _) => normal(entry, deviation, seed),
        (InitScheme::KaimingUniform, _) => uniform(entry, (6.0 / input).sqrt(), seed),
        (InitScheme::XavierUniform | InitScheme::Pretrained, _) => uniform(entry, (6.0 / (input + out)).sqrt(), seed),
    }
}

fn size(entry: &Entry) -> usize {
    entry.shape.iter().product()
}

/// Box and Muller 1958: two uniform draws give two normal ones.
fn normal(entry: &Entry, deviation: f64, seed: u64) -> Vec<f32> {
    let mut draws = stream(seed, &entry.name);
    let mut values = Vec::with_capacity(size(entry) + 1);
    while values.len() < size(entry) {
        let radius = deviation * (-2.0 * draws.positive_unit().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * draws.positive_unit()).sin_cos();
        values.push((radius * cos) as f32);
        values.push((radius * sin) as f32);
    }
    values.truncate(size(entry));
    values
}

fn uniform(entry: &Entry, bound: f64, seed: u64) -> Vec<f32> {
    let mut draws = stream(seed, &entry.name);
    (0..size(entry)).map(|_| ((2.0 * draws.positive_unit() - 1.0) * bound) as f32).collect()
}

/// The stream of a parameter, from a digest of seed and name.
fn stream(seed: u64, name: &str) -> Stream {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name.as_bytes()).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Stream::new(u64::from_le_bytes(first), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, shape: &[usize], start: Start) -> Entry {
        Entry { name: name.into(), shape: shape.to_vec(), start, layer: 0, head: false, adapter: false }
    }

    #[test]
    fn a_normal_start_has_its_mean_deviation_and_tails() {
        let values = normal(&entry("w", &[200, 200], Start::Normal), 0.02, 1);
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
        assert_eq!(normal(&one, 1.0, 7), normal(&one, 1.0, 7));
        assert_ne!(normal(&one, 1.0, 7), normal(&one, 1.0, 8));
        assert_ne!(normal(&one, 1.0, 7), normal(&entry("b", &[3, 5], Start::Normal), 1.0, 7));
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
