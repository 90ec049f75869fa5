//! Perplexity: how many tokens the model hesitates between, on average (Jelinek
//! et al. 1977).
//!
//! ```text
//! perplexity = exp( Σ -log p(token) / number of tokens )
//! ```
//!
//! The sums run over the whole evaluation set before anything is divided, so that
//! batches of different length do not distort it. Labels of -100 are left out.
//! Each batch is reduced on the device to two numbers; no second tensor of the size of the logits is made.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use retune_sdk::state::exact;
use retune_sdk::tensor::stack;
use retune_sdk::{Batch, Dtype, IGNORE_INDEX, Metric, Result, ValueSpec, fused};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many tokens the model hesitates between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Also give `bits_per_token`, the mean loss in bits.
    pub bits_per_token: bool,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Sum of -log p, in nats.
    #[serde(with = "exact")]
    nll: f64,
    /// Number of tokens.
    tokens: u64,
}

/// Perplexity.
pub struct Perplexity {
    bits_per_token: bool,
}

impl Metric for Perplexity {
    type Config = Config;
    type State = Sums;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Ok(Self { bits_per_token: config.bits_per_token })
    }

    fn describe(&self) -> Vec<ValueSpec> {
        let bits = self.bits_per_token.then(|| ValueSpec::lower("bits_per_token").unit("bits"));
        std::iter::once(ValueSpec::lower("perplexity")).chain(bits).collect()
    }

    fn update(&self, state: &mut Sums, batch: &Batch) -> Result<()> {
        let (logits, labels) = (batch.require("logits")?, batch.require("labels")?);
        let log_p = fused::token_log_probs(&logits, &labels, IGNORE_INDEX).sum(&[], false);
        let tokens = labels.eq_scalar(IGNORE_INDEX as f64).logical_not().cast(Dtype::Float32).sum(&[], false);
        // One copy out of the host instead of two: each waits for the device.
        let both = stack(&[&log_p, &tokens], 0).to_float32()?;
        state.nll -= f64::from(both[0]);
        state.tokens += both[1] as u64;
        Ok(())
    }

    fn merge(&self, state: &mut Sums, other: Sums) -> Result<()> {
        state.nll += other.nll;
        state.tokens += other.tokens;
        Ok(())
    }

    fn compute(&self, state: &Sums) -> Result<Vec<(String, f64)>> {
        // Without tokens this is 0 / 0: undefined, which NaN says.
        let mean = state.nll / state.tokens as f64;
        let bits = self.bits_per_token.then(|| ("bits_per_token".into(), mean / std::f64::consts::LN_2));
        Ok(std::iter::once(("perplexity".into(), mean.exp())).chain(bits).collect())
    }
}

retune_sdk::export!(metric: Perplexity);

#[cfg(test)]
mod tests {
    use super::*;
    use retune_sdk::testing::{batch, check_metric_laws, observe};

    fn metric() -> Perplexity {
        Perplexity::new(Config { bits_per_token: true }, 0).unwrap()
    }

    fn values(batches: &[Batch]) -> Vec<(String, f64)> {
        metric().compute(&observe(&metric(), batches).unwrap()).unwrap()
    }

    /// Logits whose softmax is exactly `p` for the first of two tokens.
    fn odds(p: f32) -> [f32; 2] {
        [(p / (1.0 - p)).ln(), 0.0]
    }

    #[test]
    fn an_even_guess_over_k_tokens_has_perplexity_k() {
        let even = batch().floats("logits", &[1, 3, 5], &[0.0; 15]).ints("labels", &[1, 3], &[0, 4, 2]).build();
        let values = values(&[even]);
        assert!((values[0].1 - 5.0).abs() < 1e-6, "{values:?}");
        assert!((values[1].1 - 5f64.log2()).abs() < 1e-6, "{values:?}");
    }

    #[test]
    fn it_is_the_inverse_geometric_mean_of_the_probabilities_over_all_batches() {
        let long = [odds(0.5), odds(0.25), odds(0.8)].concat();
        let first = batch().floats("logits", &[1, 3, 2], &long).ints("labels", &[1, 3], &[0, 0, 0]).build();
        let second = batch().floats("logits", &[1, 1, 2], &odds(0.1)).ints("labels", &[1, 1], &[0]).build();
        let expected = (0.5f64 * 0.25 * 0.8 * 0.1).powf(-0.25);
        let values = values(&[first, second]);
        assert!((values[0].1 - expected).abs() < 1e-5, "{values:?} is not {expected}");
    }

    #[test]
    fn ignored_tokens_do_not_count() {
        let logits = [odds(0.5), odds(0.001)].concat();
        let masked = batch().floats("logits", &[1, 2, 2], &logits).ints("labels", &[1, 2], &[0, -100]).build();
        assert!((values(&[masked])[0].1 - 2.0).abs() < 1e-6);
    }

    #[test]
    fn no_tokens_means_undefined() {
        assert!(values(&[])[0].1.is_nan());
    }

    #[test]
    fn it_keeps_the_laws_of_a_metric() {
        let one = |p: f32| batch().floats("logits", &[1, 1, 2], &odds(p)).ints("labels", &[1, 1], &[0]).build();
        let parts = [[one(0.3), one(0.9)], [one(0.5), one(0.2)], [one(0.7), one(0.6)]];
        check_metric_laws(&metric(), [&parts[0], &parts[1], &parts[2]]).unwrap();
    }
}
