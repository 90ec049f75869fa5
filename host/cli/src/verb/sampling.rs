//! How answers are made: the flags of `retune generate` and `retune chat`, over what the model's own files say.

use retune_train::generation::GenerationSpec;

/// Flags under the names of `GenerationConfig` in transformers.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "How answers are made [defaults: the model's generation_config.json]")]
pub struct Sampling {
    /// The most tokens of an answer [default: 256]
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// No end token before so many tokens
    #[arg(long, value_name = "N")]
    min_new_tokens: Option<usize>,
    /// Draw tokens by their probability; --temperature, --top-k, --top-p and --min-p do too
    #[arg(long, conflicts_with = "greedy")]
    sample: bool,
    /// Take the most probable token always
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "seed"])]
    greedy: bool,
    /// Divide logits by this before drawing: above 1 more varied, below less
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Draw among the so many most probable tokens; 0: all [default: 50]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw among the most probable tokens that together reach this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Draw among tokens at least so probable, as a share of the most probable one
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f64>,
    /// Make what was said less probable: above 1
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    repetition_penalty: Option<f64>,
    /// End an answer when it has said this text; may be given several times
    #[arg(long = "stop", value_name = "TEXT")]
    stop_strings: Vec<String>,
    /// What draws depend on [default: 42]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Compute the whole text anew for every token
    #[arg(long)]
    no_cache: bool,
}

impl Sampling {
    /// `defaults`, changed by what was given.
    pub fn over(&self, defaults: &GenerationSpec) -> GenerationSpec {
        let drawn = self.sample
            || self.temperature.is_some()
            || self.top_k.is_some()
            || self.top_p.is_some()
            || self.min_p.is_some();
        let stops = if self.stop_strings.is_empty() { &defaults.stop_strings } else { &self.stop_strings };
        GenerationSpec {
            max_new_tokens: self.max_new_tokens.unwrap_or(defaults.max_new_tokens),
            min_new_tokens: self.min_new_tokens.unwrap_or(defaults.min_new_tokens),
            do_sample: !self.greedy && (drawn || defaults.do_sample),
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            min_p: self.min_p.or(defaults.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
            eos_token_id: defaults.eos_token_id.clone(),
            stop_strings: stops.clone(),
            seed: self.seed.unwrap_or(defaults.seed),
            use_cache: !self.no_cache && defaults.use_cache,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_goes_before_the_models_files_and_a_temperature_draws() {
        let defaults = GenerationSpec { eos_token_id: vec![2], top_p: 0.9, ..GenerationSpec::default() };
        assert_eq!(Sampling::default().over(&defaults), defaults);
        let hot = Sampling { temperature: Some(1.2), no_cache: true, ..Sampling::default() }.over(&defaults);
        assert!(hot.do_sample && !hot.use_cache && hot.temperature == 1.2 && hot.top_p == 0.9);
        let drawing = GenerationSpec { do_sample: true, ..defaults };
        assert!(!Sampling { greedy: true, ..Sampling::default() }.over(&drawing).do_sample);
    }
}
