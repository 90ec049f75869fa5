//! Which layers learn, and how fast.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Progress;

/// What a layer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// Token, position and segment tables.
    Embedding,
    /// Self-attention with its projections.
    Attention,
    /// The feed-forward half of a block.
    Mlp,
    /// A normalisation that stands alone.
    Norm,
    /// The task's last layer, pooler included.
    Head,
    /// LoRA and its kin.
    Adapter,
    /// Anything else.
    Other,
}

impl LayerKind {
    /// The contract's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
            Self::Norm => "norm",
            Self::Head => "head",
            Self::Adapter => "adapter",
            Self::Other => "other",
        }
    }
}

/// A named group of parameters, as the model defines it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// A prefix of parameter names: `bert.encoder.layer.3.attention`.
    pub name: String,
    /// Distance from the input; embeddings are zero, the head is deepest.
    pub depth: u32,
    /// What it is made of.
    pub kind: LayerKind,
    /// Number of scalars.
    pub parameters: u64,
    /// Whether it learns now.
    pub trainable: bool,
}

/// How a layer is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerStats {
    /// As in [`Layer`].
    pub name: String,
    /// Whether it learns now.
    pub trainable: bool,
    /// Mean gradient norm over the steps since the last call; `None` when frozen.
    pub grad_norm: Option<f64>,
    /// Euclidean norm of the weights.
    pub weight_norm: f64,
    /// Norm of the last update over the norm of the weights.
    pub update_ratio: Option<f64>,
}

/// Why a policy is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Before the first step, and again after a restart; what is answered then is not
    /// applied, because the checkpoint holds what all policies together had set.
    Start,
    /// An epoch has ended.
    Epoch,
    /// The agreed number of steps has passed.
    Steps,
    /// An evaluation has ended, with these values.
    Evaluation(Vec<(String, f64)>),
}

/// What a policy is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Why it is asked.
    pub trigger: Trigger,
    /// Where the run is.
    pub at: Progress,
    /// Smoothed training loss, once there is one.
    pub train_loss: Option<f64>,
    /// Empty unless the contract asks for statistics.
    pub layers: Vec<LayerStats>,
}

/// How to give a layer new weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InitScheme {
    /// All zero.
    Zeros,
    /// Normal with this standard deviation.
    Normal(f64),
    /// He et al. 2015, uniform, gain √2.
    KaimingUniform,
    /// Glorot and Bengio 2010, uniform.
    XavierUniform,
    /// The weights the run began with.
    Pretrained,
}

/// What to do with the layers a glob selects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Stop learning: no gradient, no optimiser state, no decay.
    Freeze,
    /// Learn.
    Unfreeze,
    /// Multiplies the scheduled learning rate.
    LrScale(f64),
    /// Replaces the weight decay of the layer's decayed parameters.
    WeightDecay(f64),
    /// New weights, seeded by the host; clears the optimiser state.
    Reinit(InitScheme),
}

impl Action {
    /// Whether its number is one that a plugin may give: beyond these bounds a rate or a deviation overflows the weights in
    /// a step, and what is tried in earnest lies far within them.
    ///
    /// # Errors
    /// What the number is, and what it may be.
    pub fn check(self) -> Result<(), String> {
        let (what, value, most) = match self {
            Self::LrScale(scale) => ("learning-rate scale", scale, 10_000.0),
            Self::WeightDecay(decay) => ("weight decay", decay, 1_000.0),
            Self::Reinit(InitScheme::Normal(std)) => ("standard deviation", std, 100.0),
            Self::Freeze | Self::Unfreeze | Self::Reinit(_) => return Ok(()),
        };
        match (0.0..=most).contains(&value) {
            true => Ok(()),
            // In exponents: a float may have three hundred digits.
            false => Err(format!("a {what} of {value:?}, expected a number from 0 to {most}")),
        }
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// A glob over layer names. Later changes win.
    pub layers: String,
    /// What to do.
    pub action: Action,
    /// For the run log.
    pub reason: String,
}

/// When a policy wants to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyContract {
    /// After every epoch.
    pub every_epoch: bool,
    /// After every so many optimiser steps.
    pub every_steps: Option<u32>,
    /// After each evaluation.
    pub after_evaluation: bool,
    /// Fill [`Event::layers`]; costs one device synchronisation a call.
    pub stats: bool,
}

/// Which layers learn, and how fast.
pub trait Policy {
    /// Who this is, for messages.
    fn name(&self) -> &str;
    /// When to ask.
    fn describe(&self) -> PolicyContract;
    /// The layers of the model in depth order, once, before the first event.
    fn attach(&mut self, layers: &[Layer]) -> crate::Result<()>;
    /// What is to change before the next step; usually nothing.
    fn decide(&mut self, event: &Event) -> crate::Result<Vec<Change>>;
    /// State for the checkpoint; `None` when there is none.
    fn save(&mut self) -> crate::Result<Option<Vec<u8>>> {
        Ok(None)
    }
    /// How long deciding and finding the layers of the answer may take together; `None` for a policy that is part of the host.
    fn deadline(&self) -> Option<Duration> {
        None
    }
    /// Restores what [`Policy::save`] gave.
    fn load(&mut self, _state: &[u8]) -> crate::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_no_optimiser_can_use_are_refused() {
        let told = |action: Action| action.check().err().unwrap_or_default();
        for action in [Action::LrScale(0.0), Action::LrScale(100.0), Action::WeightDecay(0.3), Action::Freeze] {
            assert_eq!(told(action), "");
        }
        assert_eq!(told(Action::LrScale(1e308)), "a learning-rate scale of 1e308, expected a number from 0 to 10000");
        assert_eq!(told(Action::LrScale(f64::NAN)), "a learning-rate scale of NaN, expected a number from 0 to 10000");
        assert_eq!(told(Action::LrScale(-1.0)), "a learning-rate scale of -1.0, expected a number from 0 to 10000");
        assert_eq!(told(Action::WeightDecay(1e300)), "a weight decay of 1e300, expected a number from 0 to 1000");
        let normal = Action::Reinit(InitScheme::Normal(1e300));
        assert_eq!(told(normal), "a standard deviation of 1e300, expected a number from 0 to 100");
    }
}
