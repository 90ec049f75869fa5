//! Which layers learn, and how fast.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Progress, Result};

/// A named group of parameters, as the model defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// A prefix of parameter names: `bert.encoder.layer.3.attention`.
    pub name: String,
    /// Distance from the input; embeddings are zero, the head is deepest.
    pub depth: u32,
    /// `embedding`, `attention`, `mlp`, `norm`, `head`, `adapter` or `other`.
    pub kind: String,
    /// Number of scalars.
    pub parameters: u64,
    /// Whether it learns now.
    pub trainable: bool,
}

/// How a layer is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerStats {
    /// As in [`Layer`].
    pub name: String,
    /// Whether it learns now.
    pub trainable: bool,
    /// Mean gradient norm over the steps since the last call; absent when frozen.
    pub grad_norm: Option<f64>,
    /// Euclidean norm of the weights.
    pub weight_norm: f64,
    /// Norm of the last update over the norm of the weights.
    pub update_ratio: Option<f64>,
}

/// Why a policy is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Before the first step, and again after a restart: say everything that holds. After a
    /// restart it is not applied: the checkpoint holds what all policies together had set.
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
    /// Empty unless [`PolicyContract::stats`] asks for it.
    pub layers: Vec<LayerStats>,
}

/// How to give a layer new weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InitScheme {
    /// All zero.
    Zeros,
    /// Normal around zero with this standard deviation.
    Normal(f64),
    /// He et al. 2015.
    KaimingUniform,
    /// Glorot and Bengio 2010.
    XavierUniform,
    /// The weights the run began with.
    Pretrained,
}

/// What to do with layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Stop learning: no gradient, no optimiser state, no decay.
    Freeze,
    /// Learn.
    Unfreeze,
    /// Multiply the scheduled learning rate by this.
    LrScale(f64),
    /// Replace the weight decay.
    WeightDecay(f64),
    /// New weights, seeded by the host; clears the optimiser state.
    Reinit(InitScheme),
}

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// A glob over layer names. Later changes win.
    pub layers: String,
    /// What to do with them.
    pub action: Action,
    /// For the run log.
    pub reason: String,
}

impl Change {
    /// `action` on the layers that the glob `layers` selects, because of `reason`.
    pub fn new(layers: impl Into<String>, action: Action, reason: impl Into<String>) -> Self {
        Self { layers: layers.into(), action, reason: reason.into() }
    }
}

/// When a policy is asked, besides at the start.
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
pub trait Policy: Sized {
    /// The settings in the recipe; `()` for none.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes the policy, once per run.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    fn new(config: Self::Config, seed: u64) -> Result<Self>;

    /// When to ask.
    fn describe(&self) -> PolicyContract;

    /// The layers of the model in depth order, once, before the first event.
    ///
    /// # Errors
    /// When this policy cannot work with these layers.
    fn attach(&mut self, layers: &[Layer]) -> Result<()>;

    /// What is to change before the next step; usually nothing.
    ///
    /// # Errors
    /// When the event lacks what the policy decides on.
    fn decide(&mut self, event: &Event) -> Result<Vec<Change>>;
}
