//! Layer-wise learning rate decay: the deeper a layer, the faster it learns
//! (discriminative fine-tuning, Howard and Ruder 2018, section 3.2; as a single
//! decay factor, Clark et al. 2020, ELECTRA).
//!
//! ```text
//! scale(layer) = decay ^ (max_depth - depth(layer))
//! ```
//!
//! The deepest layer, the head, keeps the scheduled rate. Decided once, at the
//! start, and said again after a restart; it keeps no state and costs nothing.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use retune_sdk::{Action, Change, Error, Event, Layer, Policy, PolicyContract, Result, Trigger};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A learning rate for each depth: the nearer to the input, the smaller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The factor from one depth to the next one down, above 0 and at most 1.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub decay: f64,
    /// No layer's factor falls below this.
    #[schemars(range(min = 0, max = 1))]
    pub min_scale: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { decay: 0.9, min_scale: 0.0 }
    }
}

/// Layer-wise learning rate decay.
pub struct LayerwiseLr {
    config: Config,
    layers: Vec<(String, u32)>,
}

impl Policy for LayerwiseLr {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        if !(config.decay > 0.0 && config.decay <= 1.0) {
            return Err(Error::config(format!("decay must be above 0 and at most 1, it is {}", config.decay)));
        }
        if !(0.0..=1.0).contains(&config.min_scale) {
            return Err(Error::config(format!("min_scale must lie between 0 and 1, it is {}", config.min_scale)));
        }
        Ok(Self { config, layers: Vec::new() })
    }

    fn describe(&self) -> PolicyContract {
        PolicyContract::default()
    }

    fn attach(&mut self, layers: &[Layer]) -> Result<()> {
        self.layers = layers.iter().map(|layer| (layer.name.clone(), layer.depth)).collect();
        Ok(())
    }

    fn decide(&mut self, event: &Event) -> Result<Vec<Change>> {
        if event.trigger != Trigger::Start {
            return Ok(Vec::new());
        }
        let deepest = self.layers.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
        let Config { decay, min_scale } = self.config;
        let scaled = |(name, depth): &(String, u32)| {
            let scale = decay.powf(f64::from(deepest - depth)).max(min_scale);
            Change::new(name, Action::LrScale(scale), format!("depth {depth} of {deepest}"))
        };
        Ok(self.layers.iter().map(scaled).collect())
    }
}

retune_sdk::export!(policy: LayerwiseLr);

#[cfg(test)]
mod tests {
    use super::*;
    use retune_sdk::Progress;

    fn layers() -> Vec<Layer> {
        [
            ("embeddings", 0, "embedding"),
            ("encoder.0", 1, "attention"),
            ("encoder.1", 2, "mlp"),
            ("classifier", 3, "head"),
        ]
        .map(|(name, depth, kind)| Layer {
            name: name.into(),
            depth,
            kind: kind.into(),
            parameters: 1,
            trainable: true,
        })
        .into()
    }

    fn event(trigger: Trigger) -> Event {
        Event { trigger, at: Progress::START, train_loss: None, layers: Vec::new() }
    }

    fn scales(config: Config) -> Vec<(String, f64)> {
        let mut policy = LayerwiseLr::new(config, 0).unwrap();
        policy.attach(&layers()).unwrap();
        let scale = |change: Change| match change.action {
            Action::LrScale(scale) => (change.layers, scale),
            other => panic!("{other:?}"),
        };
        policy.decide(&event(Trigger::Start)).unwrap().into_iter().map(scale).collect()
    }

    #[test]
    fn each_depth_below_the_head_learns_slower_by_the_decay() {
        let names = ["embeddings", "encoder.0", "encoder.1", "classifier"];
        let expected = names.map(String::from).into_iter().zip([0.125, 0.25, 0.5, 1.0]).collect::<Vec<_>>();
        assert_eq!(scales(Config { decay: 0.5, min_scale: 0.0 }), expected);
    }

    #[test]
    fn no_scale_falls_below_the_least() {
        let least = scales(Config { decay: 0.1, min_scale: 0.05 });
        assert_eq!(least.iter().map(|(_, s)| *s).collect::<Vec<_>>(), [0.05, 0.05, 0.1, 1.0]);
    }

    #[test]
    fn it_asks_for_no_event_and_answers_none_but_the_start() {
        let mut policy = LayerwiseLr::new(Config::default(), 0).unwrap();
        policy.attach(&layers()).unwrap();
        assert_eq!(policy.describe(), PolicyContract::default());
        assert_eq!(policy.decide(&event(Trigger::Epoch)).unwrap(), []);
        let first = policy.decide(&event(Trigger::Start)).unwrap();
        assert_eq!(policy.decide(&event(Trigger::Start)).unwrap(), first, "after a restart it says the same");
    }

    #[test]
    fn a_decay_that_is_none_is_refused() {
        for decay in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(LayerwiseLr::new(Config { decay, min_scale: 0.0 }, 0).is_err(), "{decay}");
        }
    }
}
