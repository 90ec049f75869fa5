//! The roles there are: what each is called, and where a recipe names it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the things a plugin can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleKind {
    /// Raw samples in, training samples out.
    Preprocessor,
    /// A training objective.
    Loss,
    /// Which layers learn, and how fast.
    Policy,
    /// A number that says how good the model is.
    Metric,
}

impl RoleKind {
    /// All of them, in the order of the data's way.
    pub const ALL: [Self; 4] = [Self::Preprocessor, Self::Loss, Self::Policy, Self::Metric];

    /// Its name, and the section of a recipe that names it.
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Preprocessor => ("preprocessor", "[[data.preprocess]]"),
            Self::Loss => ("loss", "[loss]"),
            Self::Policy => ("policy", "[[strategy.policy]]"),
            Self::Metric => ("metric", "evaluation.metrics"),
        }
    }

    /// What it is called in messages, and the interface of the contract that a plugin exports to play it.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The section or key of a recipe that names it: `[loss]`.
    pub const fn section(self) -> &'static str {
        self.row().1
    }
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
