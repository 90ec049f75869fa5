//! What a recipe freezes stays frozen, whatever a policy decides.
#![allow(clippy::unwrap_used)]

mod support;

use retune_roles::{Action, Change, PolicyContract};
use retune_train::{Roles, Strategy, TrainSpec};
use support::{Scripted, bert, bytes, roles, rows, spec, train};

/// The names of the parameters that learn under `strategy` and a policy that unfreezes all of them after every step, and
/// of those that do not.
fn learn_and_stay(strategy: Strategy) -> (Vec<String>, Vec<String>) {
    let place = tempfile::tempdir().unwrap();
    let spec = TrainSpec { strategy, ..spec(place.path()) };
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
    // A bias of keys shifts all scores alike and never has a gradient worth a step.
    let all = before.iter().zip(&after).filter(|((name, _), _)| !name.contains("key.bias"));
    let (learn, stay): (Vec<_>, Vec<_>) = all.partition(|((_, before), (_, after))| before != after);
    let names = |side: Vec<(&(String, [u8; 32]), _)>| side.into_iter().map(|((name, _), _)| name.clone()).collect();
    (names(learn), names(stay))
}

#[test]
fn a_policy_cannot_let_learn_what_the_recipe_froze() {
    let freeze = vec!["embeddings".to_owned(), "encoder.layer.0.attention.self.query".to_owned()];
    let (learn, stay) = learn_and_stay(Strategy { freeze, ..Strategy::default() });
    let fixed = |name: &String| name.contains("embeddings") || name.contains("layer.0.attention.self.query");
    assert!(stay.iter().all(fixed) && !learn.iter().any(fixed), "{stay:?}");
    assert!(!stay.is_empty() && !learn.is_empty());
}

#[test]
fn a_policy_cannot_let_learn_what_lies_below_the_top_layers_that_the_recipe_trains() {
    let (learn, stay) = learn_and_stay(Strategy { train_top_layers: Some(1), ..Strategy::default() });
    let below = |name: &String| name.contains("embeddings") || name.contains("layer.0.");
    assert!(stay.iter().all(below) && !learn.iter().any(below), "{stay:?}");
    assert!(learn.iter().any(|name| name.contains("layer.1.")) && stay.iter().any(|name| name.contains("layer.0.")));
}
