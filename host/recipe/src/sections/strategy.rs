//! The section `strategy`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::globs::Globs;
use super::role::RoleRef;

/// Which parameters are trained.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Strategy {
    /// Whether all parameters are trainable.
    #[schemars(extend("x-default" = "full, or partial with an adapter or when a key here says so"))]
    pub method: Method,
    /// Parameters that are never trained, whatever a policy says.
    pub freeze: Globs,
    /// Only the top so many blocks and the head are ever trained; policies decide about these alone.
    pub train_top_layers: Option<u32>,
    /// Parameters that start anew.
    pub reinitialize: Vec<Reinitialize>,
    /// Freezing policies, asked as the run goes on; what the recipe itself freezes stays frozen.
    pub policy: Vec<RoleRef>,
}

/// Whether all parameters are trainable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// All of them.
    #[default]
    Full,
    /// Those that nothing freezes.
    Partial,
}

/// Parameters that start anew.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reinitialize {
    /// Which parameters.
    #[schemars(extend("x-required" = true, "x-write" = "layers = \"classifier.**\""))]
    pub layers: Globs,
    /// How to draw them.
    pub scheme: Scheme,
    /// Standard deviation (normal only).
    #[schemars(extend("exclusiveMinimum" = 0, "x-default" = "0.02"))]
    pub std: Option<f64>,
}

/// How to draw new parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Normal with a standard deviation.
    #[default]
    Normal,
    /// All zero.
    Zeros,
    /// Glorot and Bengio 2010.
    XavierUniform,
    /// He et al. 2015.
    KaimingUniform,
}
