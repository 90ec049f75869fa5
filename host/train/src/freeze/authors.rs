//! Who last changed how a layer learns, for the day when its weights are no numbers.
//!
//! Kept with the state of the run, so that a run that goes on knows it too. Price: a line of text per layer that a policy changed.

use std::collections::BTreeMap;

use retune_roles::{Action, InitScheme};
use serde::{Deserialize, Serialize};

/// Who last changed how a layer learns, or its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Author {
    /// The policy.
    pub policy: String,
    /// What it did, in the contract's words.
    pub action: String,
    /// After how many steps.
    pub step: u64,
}

/// Of the layers that a policy changed, by index.
pub(crate) type Authors = BTreeMap<usize, Author>;

/// Writes down who changed a layer; who only freezes and unfreezes makes no numbers.
pub(crate) fn sign(authors: &mut Authors, layer: usize, policy: &str, action: Action, step: u64) {
    if matches!(action, Action::Freeze | Action::Unfreeze) {
        return;
    }
    let action = describe(action);
    let same = |author: &Author| author.policy == policy && author.action == action;
    if !authors.get(&layer).is_some_and(same) {
        authors.insert(layer, Author { policy: policy.to_owned(), action, step });
    }
}

/// As the event log has it.
pub(crate) fn describe(action: Action) -> String {
    match action {
        Action::Freeze => "freeze".into(),
        Action::Unfreeze => "unfreeze".into(),
        Action::LrScale(scale) => format!("lr_scale {scale}"),
        Action::WeightDecay(decay) => format!("weight_decay {decay}"),
        Action::Reinit(InitScheme::Zeros) => "reinit zeros".into(),
        Action::Reinit(InitScheme::Normal(std)) => format!("reinit normal {std}"),
        Action::Reinit(InitScheme::KaimingUniform) => "reinit kaiming-uniform".into(),
        Action::Reinit(InitScheme::XavierUniform) => "reinit xavier-uniform".into(),
        Action::Reinit(InitScheme::Pretrained) => "reinit pretrained".into(),
    }
}
