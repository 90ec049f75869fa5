//! What a recipe freezes stays frozen, whatever a policy decides.
#![allow(clippy::unwrap_used)]

mod support;

use retune_roles::{Action, Change, PolicyContract};
use retune_train::{Roles, Strategy, TrainSpec};
use support::{Scripted, bert, bytes, roles, rows, spec, train};

#[test]
fn a_policy_cannot_let_learn_what_the_recipe_froze() {
    let place = tempfile::tempdir().unwrap();
    let freeze = vec!["embeddings".to_owned(), "encoder.layer.0.attention.self.query".to_owned()];
    let spec = TrainSpec { strategy: Strategy { freeze, ..Strategy::default() }, ..spec(place.path()) };
    let thaw = Scripted {
        contract: PolicyContract { every_steps: Some(1), ..PolicyContract::default() },
        asked: 0,
        script: |_: &retune_roles::Event, _| {
            vec![Change { layers: "**".into(), action: Action::Unfreeze, reason: "all of it".into() }]
        },
    };
    let roles = Roles { policies: vec![Box::new(thaw)], ..roles() };
    let before = bytes(&bert(0.0));
    let data = rows(16, 3);
    let (outcome, _) = train(bert(0.0), spec, roles, &data, &data);
    let after = bytes(&outcome.unwrap().model);
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let fixed = name.contains("embeddings") || name.contains("layer.0.attention.self.query");
        // A bias of keys shifts all scores alike and never has a gradient worth a step.
        assert!(fixed == (before == after) || name.contains("key.bias"), "{name}");
    }
}
