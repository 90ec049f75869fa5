//! Rotary positions (Su et al. 2021) and how their frequencies are scaled for longer texts.
//!
//! Pair `i` of a head turns by `position * frequency(i)`; unscaled, the frequency is `theta^(-2i / head_dim)`.
//! The formulas are those of `ROPE_INIT_FUNCTIONS` in transformers, computed in float64 and rounded once.
//!
//! `dynamic` and `longrope` depend on a length. transformers takes the longest row of the batch; here every document has
//! its own, so that a row's result does not depend on the rows beside it. A row alone gets the same numbers in both.

use std::f64::consts::TAU;

use serde_json::{Map, Value};

use super::ModelError;
use super::keys::Keys;

/// Rotary positions of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Base of the frequencies.
    pub theta: f64,
    /// How they are scaled.
    pub scaling: RopeScaling,
    /// The share of a head that turns, from its beginning; the rest has no positions (Phi-4-mini).
    pub share: f64,
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
    /// Each pair divided by a factor of its own, of one list within the trained positions and of another one in longer
    /// documents (Ding et al. 2024).
    LongRope {
        /// Factors within the trained positions.
        short: Vec<f64>,
        /// Factors of longer documents.
        long: Vec<f64>,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Positions that the model was trained with.
        trained: usize,
    },
}

/// The inverse frequencies of the pairs of `width` components that turn, `[width / 2]`, in radians per position, and what
/// cosines and sines are multiplied by; `longest` is the length of the document in tokens, which only `dynamic` and
/// `longrope` read.
pub fn frequencies(width: usize, theta: f64, scaling: &RopeScaling, longest: usize) -> (Vec<f32>, f32) {
    let dim = width as f64;
    let plain = |theta: f64| (0..width.div_ceil(2)).map(move |i| 1.0 / theta.powf(2.0 * i as f64 / dim));
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
        RopeScaling::LongRope { ref short, ref long, attention_factor, trained } => {
            let factors = if longest > trained { long } else { short };
            (plain(theta).zip(factors).map(|(frequency, factor)| frequency / factor).collect(), attention_factor)
        }
    };
    (scaled.into_iter().map(|frequency| frequency as f32).collect(), attention as f32)
}

impl Rotary {
    /// Components that turn of a head of this width.
    pub fn width(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.share) as usize
    }

    /// Whether frequencies are those of a document and not of the model.
    pub(super) fn depends_on_length(&self) -> bool {
        matches!(self.scaling, RopeScaling::Dynamic { .. } | RopeScaling::LongRope { .. })
    }

    /// Whether what was turned in a document of `read` tokens is turned alike in one of `length`.
    pub(super) fn keeps(&self, read: usize, length: usize) -> bool {
        match self.scaling {
            RopeScaling::Dynamic { trained, .. } => read.max(trained) == length.max(trained),
            RopeScaling::LongRope { trained, .. } => (read > trained) == (length > trained),
            _ => true,
        }
    }

    /// The longest row where it is not the model's `max_position_embeddings`: `dynamic` is for rows that are longer.
    pub(super) fn longest_row(&self) -> Option<usize> {
        match self.scaling {
            RopeScaling::Dynamic { factor, trained } => Some((factor * trained as f64) as usize),
            _ => None,
        }
    }

    /// Why it cannot turn heads of this width, when it cannot.
    pub(super) fn misfit(&self, head_dim: usize) -> Option<String> {
        let pairs = self.width(head_dim).div_ceil(2);
        if pairs == 0 || 2 * pairs > head_dim {
            return Some(format!("{} of a head of {head_dim} is not a number of pairs within it", self.share));
        }
        let RopeScaling::LongRope { short, long, .. } = &self.scaling else { return None };
        let lists = [("short_factor", short), ("long_factor", long)];
        let (name, list) = lists.into_iter().find(|(_, list)| list.len() != pairs)?;
        Some(format!("{name} has {} factors, but {pairs} pairs of a head of {head_dim} turn", list.len()))
    }

    /// Of `rope_theta` and `rope_scaling` (transformers 4), or `rope_parameters` with both inside (transformers 5).
    ///
    /// # Errors
    /// Names a `rope_type` that is not supported, and a setting that is missing or of another kind.
    pub fn read(keys: &Keys) -> Result<Self, ModelError> {
        let rotary = Self::read_partial(keys)?;
        if rotary.share != 1.0 {
            return Err(keys.wrong("partial_rotary_factor", "only 1 is supported"));
        }
        Ok(rotary)
    }

    /// The same with a `partial_rotary_factor`.
    ///
    /// # Errors
    /// Those of [`Rotary::read`].
    pub fn read_partial(keys: &Keys) -> Result<Self, ModelError> {
        let mut rotary = Self::plain(keys.positive("rope_theta")?.unwrap_or(10_000.0));
        rotary.share = share(keys)?.unwrap_or(1.0);
        // Of a file that has both, transformers takes the former.
        let given = |block: &'static str| {
            Ok::<_, ModelError>(keys.object(block, block)?.filter(|inside| !inside.map.is_empty()))
        };
        let (block, inside) = match given("rope_scaling")? {
            Some(inside) => ("rope_scaling", Some(inside)),
            None => ("rope_parameters", given("rope_parameters")?),
        };
        if let Some(inside) = inside {
            if let Some((name, _)) = inside.map.iter().find(|(_, value)| value.is_object()) {
                return Err(keys.wrong(block, format!("settings of its own for `{name}` are not supported")));
            }
            let outside = keys.optional_size("original_max_position_embeddings")?;
            rotary.take(keys, &inside, outside)?;
        }
        Ok(rotary)
    }

    /// Of the blocks of one kind, `full_attention` or `sliding_attention`: of `rope_parameters` with an object for each kind
    /// (transformers 5), or of the key for their base and, when they are `scaled` by it, `rope_scaling` (transformers 4).
    ///
    /// # Errors
    /// Those of [`Rotary::read`].
    pub fn read_kind(
        keys: &Keys,
        kind: &'static str,
        (theta_key, theta): (&str, f64),
        scaled: bool,
    ) -> Result<Self, ModelError> {
        const KINDS: [(&str, &str); 2] = [
            ("full_attention", "rope_parameters.full_attention"),
            ("sliding_attention", "rope_parameters.sliding_attention"),
        ];
        let mut rotary = Self::plain(keys.positive(theta_key)?.unwrap_or(theta));
        rotary.share = share(keys)?.unwrap_or(1.0);
        let nothing = Map::new();
        let mut settings = Keys { map: &nothing, path: keys.path, within: "rope_parameters" };
        if let Some(all) = keys.object("rope_parameters", "rope_parameters")? {
            if let Some(name) = all.map.keys().find(|name| KINDS.iter().all(|(kind, _)| kind != name)) {
                let reason = "it is not a kind of blocks; expected full_attention or sliding_attention";
                return Err(all.wrong(name, reason));
            }
            let within = KINDS.iter().find(|(known, _)| *known == kind).map_or(kind, |(_, within)| within);
            if let Some(inside) = all.object(kind, within)? {
                settings = Keys { map: inside.map, within, ..settings };
            }
        }
        let mut merged = settings.map.clone();
        if let Some(inside) = keys.object("rope_scaling", "rope_scaling")?.filter(|_| scaled) {
            if inside.map.contains_key("type") && !inside.map.contains_key("rope_type") {
                return Err(
                    inside.wrong("type", "transformers does not read it in models of this family; name it rope_type")
                );
            }
            merged.extend(inside.map.clone());
            settings.within = "rope_scaling";
        }
        let settings = Keys { map: &merged, ..settings };
        if settings.flag("truncate")? == Some(false) {
            return Err(
                settings.wrong("truncate", "transformers does not read it in models of this family; leave it out")
            );
        }
        rotary.take(keys, &settings, None)?;
        if rotary.share != 1.0 {
            return Err(keys.wrong("partial_rotary_factor", "only 1 is supported"));
        }
        Ok(rotary)
    }

    /// Unscaled, of whole heads.
    fn plain(theta: f64) -> Self {
        Self { theta, scaling: RopeScaling::Default, share: 1.0 }
    }

    /// Changes what one object of settings speaks of; `keys` is the `config.json` it stands in, where some name the length before
    /// scaling: `outside`.
    fn take(&mut self, keys: &Keys, inside: &Keys, outside: Option<usize>) -> Result<(), ModelError> {
        let positions = keys.size("max_position_embeddings")?;
        self.share = share(inside)?.unwrap_or(self.share);
        self.theta = inside.positive("rope_theta")?.unwrap_or(self.theta);
        let trained = outside.or(inside.optional_size("original_max_position_embeddings")?).unwrap_or(positions);
        if trained == 0 {
            return Err(inside.wrong("original_max_position_embeddings", "it must be positive"));
        }
        self.scaling = scaling(inside, positions, trained)?.unwrap_or(self.scaling.clone());
        Ok(())
    }
}

/// The share of a head that turns.
fn share(keys: &Keys) -> Result<Option<f64>, ModelError> {
    match keys.positive("partial_rotary_factor")? {
        Some(share) if share > 1.0 => {
            Err(keys.wrong("partial_rotary_factor", format!("expected at most 1, found {share}")))
        }
        share => Ok(share),
    }
}

/// What one object of settings says; `None` without a type.
fn scaling(keys: &Keys, positions: usize, trained: usize) -> Result<Option<RopeScaling>, ModelError> {
    const TYPES: [&str; 7] = ["default", "linear", "dynamic", "yarn", "llama3", "longrope", "su"];
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
        // The second is what it was called at first.
        Some("longrope" | "su") => {
            let list = |key: &str| match keys.numbers(key)? {
                Some(list) if list.iter().all(|factor| *factor > 0.0) => Ok(list),
                Some(_) => Err(keys.wrong(key, "expected positive numbers")),
                None => Err(keys.wrong(key, "it is missing; this `rope_type` needs it")),
            };
            if trained < 2 {
                return Err(keys.wrong("original_max_position_embeddings", "expected at least 2"));
            }
            let factor = keys.positive("factor")?.unwrap_or(positions as f64 / trained as f64);
            let implied = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (trained as f64).ln()).sqrt() };
            RopeScaling::LongRope {
                short: list("short_factor")?,
                long: list("long_factor")?,
                attention_factor: keys.positive("attention_factor")?.unwrap_or(implied),
                trained,
            }
        }
        Some(_) => RopeScaling::Default,
    }))
}

#[cfg(test)]
#[path = "rotary_tests.rs"]
mod tests;
