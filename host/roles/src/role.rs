//! What all roles share, so that code which fills them is written once.
//!
//! A new role is a row of [`RoleKind`], a trait in a file of its own, an implementation of [`Role`]
//! here, and in the sandbox an adapter that implements `PluginRole`; who makes roles by
//! name or from a plugin does so for any `R: Role`.

use serde_json::Value;

use crate::builtin;
use crate::failure::Refusal;
use crate::kind::RoleKind;
use crate::loss::Loss;
use crate::metric::Metric;
use crate::policy::Policy;
use crate::preprocessor::Preprocessor;
use crate::task::TaskKind;

/// A role, as the trait object that plays it: `dyn Loss`.
pub trait Role {
    /// Which.
    const KIND: RoleKind;

    /// The built-in called `name`.
    ///
    /// # Errors
    /// When there is none of that name, or its settings or `task` do not fit it.
    fn builtin(name: &str, config: &Value, task: TaskKind) -> Result<Box<Self>, Refusal>;
}

impl Role for dyn Preprocessor {
    const KIND: RoleKind = RoleKind::Preprocessor;

    fn builtin(name: &str, config: &Value, _: TaskKind) -> Result<Box<Self>, Refusal> {
        builtin::preprocessor(name, config)
    }
}

impl Role for dyn Loss {
    const KIND: RoleKind = RoleKind::Loss;

    fn builtin(name: &str, config: &Value, task: TaskKind) -> Result<Box<Self>, Refusal> {
        builtin::loss(name, config, task)
    }
}

impl Role for dyn Policy {
    const KIND: RoleKind = RoleKind::Policy;

    fn builtin(name: &str, config: &Value, _: TaskKind) -> Result<Box<Self>, Refusal> {
        builtin::policy(name, config)
    }
}

impl Role for dyn Metric {
    const KIND: RoleKind = RoleKind::Metric;

    fn builtin(name: &str, config: &Value, task: TaskKind) -> Result<Box<Self>, Refusal> {
        builtin::metric(name, config, task)
    }
}
