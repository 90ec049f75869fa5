//! Rotary positions (Su et al. 2021) and how their frequencies are scaled for longer texts.
//!
//! Pair `i` of a head turns by `position * frequency(i)`; unscaled, the frequency is `theta^(-2i / head_dim)`.
//! The formulas are those of `ROPE_INIT_FUNCTIONS` in transformers, computed in float64 and rounded once.
//!
//! `dynamic` depends on a length. transformers takes the longest row of the batch; here every document has its
//! own, so that a row's result does not depend on the rows beside it. A row alone gets the same numbers in both.

use std::f64::consts::TAU;

use serde_json::Value;

use super::ModelError;
use super::keys::Keys;

/// Rotary positions of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Base of the frequencies.
    pub theta: f64,
    /// How they are scaled.
    pub scaling: RopeScaling,
}

/// How frequencies are scaled: `rope_type` and its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    Default,
    /// All divided by `factor`.
    Linear {
        /// How many times longer texts become.
        factor: f64,
    },
    /// Another base for documents that are longer than `trained` (bloc97 2023).
    Dynamic {
        /// How many times longer texts become.
        factor: f64,
        /// Positions that the model was trained with.
        trained: usize,
    },
    /// Slow pairs divided by `factor`, fast ones kept, a ramp between (Peng et al. 2023).
    Yarn {
        /// How many times longer texts become.
        factor: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Turns within the trained positions above which a pair is kept.
        beta_fast: f64,
        /// Turns within the trained positions below which a pair is divided.
        beta_slow: f64,
        /// Whether the ramp begins and ends at whole pairs.
        truncate: bool,
        /// Positions that the model was trained with.
        trained: usize,
    },
    /// Slow pairs divided by `factor`, fast ones kept, an interpolation between (Llama 3.1).
    Llama3 {
        /// How many times longer texts become.
        factor: f64,
        /// Turns within the trained positions below which a pair is divided.
        low_freq_factor: f64,
        /// Turns within the trained positions above which a pair is kept.
        high_freq_factor: f64,
        /// Positions that the model was trained with.
        trained: usize,
    },
}

/// The inverse frequencies of the pairs, `[head_dim / 2]`, in radians per position, and what cosines and sines are
/// multiplied by; `longest` is the length of the document in tokens, which only `dynamic` reads.
pub fn frequencies(head_dim: usize, theta: f64, scaling: &RopeScaling, longest: usize) -> (Vec<f32>, f32) {
    let dim = head_dim as f64;
    let plain = |theta: f64| (0..head_dim / 2).map(move |i| 1.0 / theta.powf(2.0 * i as f64 / dim));
    let (scaled, attention): (Vec<f64>, f64) = match *scaling {
        RopeScaling::Default => (plain(theta).collect(), 1.0),
        RopeScaling::Linear { factor } => (plain(theta).map(|frequency| frequency / factor).collect(), 1.0),
        RopeScaling::Dynamic { factor, trained } => {
            let longer = longest.max(trained) as f64 / trained as f64;
            let base = theta * (factor * longer - (factor - 1.0)).powf(dim / (dim - 2.0));
            (plain(base).collect(), 1.0)
        }
        RopeScaling::Yarn { factor, attention_factor, beta_fast, beta_slow, truncate, trained } => {
            // The pair that turns so often within the trained positions.
            let pair = |turns: f64| dim * (trained as f64 / (turns * TAU)).ln() / (2.0 * theta.ln());
            let (low, high) = (pair(beta_fast), pair(beta_slow));
            let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
            let (low, mut high) = (low.max(0.0), high.min(dim - 1.0));
            if low == high {
                high += 0.001;
            }
            let ramp = |i: usize| ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            let mixed = plain(theta).enumerate().map(|(i, kept)| kept / factor * ramp(i) + kept * (1.0 - ramp(i)));
            (mixed.collect(), attention_factor)
        }
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, trained } => {
            let smoothed = plain(theta).map(|kept| {
                let turns = trained as f64 * kept / TAU;
                let share = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                (1.0 - share) * kept / factor + share * kept
            });
            (smoothed.collect(), 1.0)
        }
    };
    (scaled.into_iter().map(|frequency| frequency as f32).collect(), attention as f32)
}

impl Rotary {
    /// Whether frequencies are those of a document and not of the model.
    pub(super) fn depends_on_length(&self) -> bool {
        matches!(self.scaling, RopeScaling::Dynamic { .. })
    }

    /// The longest row where it is not the model's `max_position_embeddings`: `dynamic` is for rows that are longer.
    pub(super) fn longest_row(&self) -> Option<usize> {
        match self.scaling {
            RopeScaling::Dynamic { factor, trained } => Some((factor * trained as f64) as usize),
            _ => None,
        }
    }

    /// Of `rope_theta` and `rope_scaling` (transformers 4), or `rope_parameters` with both inside (transformers 5);
    /// `positions` is the config's `max_position_embeddings`.
    ///
    /// # Errors
    /// Names a `rope_type` that is not supported, and a setting that is missing or of another kind.
    pub fn read(keys: &Keys, positions: usize) -> Result<Self, ModelError> {
        let mut rotary =
            Self { theta: keys.positive("rope_theta")?.unwrap_or(10_000.0), scaling: RopeScaling::Default };
        let whole = |keys: &Keys| match keys.positive("partial_rotary_factor")? {
            Some(factor) if factor != 1.0 => Err(keys.wrong("partial_rotary_factor", "only 1 is supported")),
            _ => Ok(()),
        };
        whole(keys)?;
        // Here, and not inside, is where some configs name the length before scaling.
        let outside = keys.optional_size("original_max_position_embeddings")?;
        for block in ["rope_scaling", "rope_parameters"] {
            let inside = match keys.map.get(block) {
                None | Some(Value::Null) => continue,
                Some(Value::Object(inside)) => inside,
                Some(other) => return Err(keys.wrong(block, format!("expected an object, found {other}"))),
            };
            if let Some((name, _)) = inside.iter().find(|(_, value)| value.is_object()) {
                return Err(keys.wrong(block, format!("settings of its own for `{name}` are not supported")));
            }
            let within = Keys { map: inside, path: keys.path, within: block };
            whole(&within)?;
            rotary.theta = within.positive("rope_theta")?.unwrap_or(rotary.theta);
            let trained = outside.or(within.optional_size("original_max_position_embeddings")?).unwrap_or(positions);
            if trained == 0 {
                return Err(within.wrong("original_max_position_embeddings", "it must be positive"));
            }
            rotary.scaling = scaling(&within, positions, trained)?.unwrap_or(rotary.scaling);
        }
        Ok(rotary)
    }
}

/// What one object of settings says; `None` without a type.
fn scaling(keys: &Keys, positions: usize, trained: usize) -> Result<Option<RopeScaling>, ModelError> {
    const TYPES: [&str; 5] = ["default", "linear", "dynamic", "yarn", "llama3"];
    let key = if keys.string("rope_type")?.is_some() { "rope_type" } else { "type" };
    keys.only(key, &TYPES)?;
    let needed =
        |key: &str| keys.positive(key)?.ok_or_else(|| keys.wrong(key, "it is missing; this `rope_type` needs it"));
    let factor = || match needed("factor")? {
        factor if factor < 1.0 => Err(keys.wrong("factor", format!("expected at least 1, found {factor}"))),
        factor => Ok(factor),
    };
    Ok(Some(match keys.string(key)?.as_deref() {
        None => return Ok(None),
        Some("linear") => RopeScaling::Linear { factor: factor()? },
        Some("dynamic") => RopeScaling::Dynamic { factor: factor()?, trained: positions },
        Some("yarn") => {
            let factor = match keys.map.get("factor") {
                None | Some(Value::Null) => positions as f64 / trained as f64,
                Some(_) => factor()?,
            };
            let scale = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
            let implied = match (keys.positive("mscale")?, keys.positive("mscale_all_dim")?) {
                (Some(mscale), Some(all)) => scale(mscale) / scale(all),
                _ => scale(1.0),
            };
            RopeScaling::Yarn {
                factor,
                attention_factor: keys.positive("attention_factor")?.unwrap_or(implied),
                beta_fast: keys.positive("beta_fast")?.unwrap_or(32.0),
                beta_slow: keys.positive("beta_slow")?.unwrap_or(1.0),
                truncate: keys.flag("truncate")?.unwrap_or(true),
                trained,
            }
        }
        Some("llama3") => {
            let (low_freq_factor, high_freq_factor) = (needed("low_freq_factor")?, needed("high_freq_factor")?);
            if low_freq_factor >= high_freq_factor {
                let reason = format!("expected more than low_freq_factor, {low_freq_factor}; found {high_freq_factor}");
                return Err(keys.wrong("high_freq_factor", reason));
            }
            RopeScaling::Llama3 { factor: factor()?, low_freq_factor, high_freq_factor, trained }
        }
        Some(_) => RopeScaling::Default,
    }))
}

#[cfg(test)]
#[path = "rotary_tests.rs"]
mod tests;
