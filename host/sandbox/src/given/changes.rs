//! What a policy gives: when it wants to be asked, and what is to change.

use retune_roles::text::{is_line, line};
use retune_roles::{Action, Change, InitScheme, PolicyContract};

use super::{Refused, sentence};
use crate::bindings::guest::policy as contract;

/// Most changes at a time.
const CHANGES: usize = 10_000;

/// Longest pattern, in characters.
const PATTERN: usize = 512;

/// What `describe` said.
pub(crate) fn policy_contract(said: contract::Contract) -> Result<PolicyContract, Refused> {
    if said.every_steps == Some(0) {
        return Err("asks to be called every 0 steps, the least is 1".to_owned().into());
    }
    Ok(PolicyContract {
        every_epoch: said.every_epoch,
        every_steps: said.every_steps,
        after_evaluation: said.after_evaluation,
        stats: said.stats,
    })
}

/// What `decide` answered, when each change could be applied to some model. Whether a pattern
/// matches a layer of this one is the training loop's to say.
pub(crate) fn changes(said: Vec<contract::Change>) -> Result<Vec<Change>, Refused> {
    if said.len() > CHANGES {
        return Err(format!("gave {} changes, the most is {CHANGES}", said.len()).into());
    }
    said.into_iter().map(change).collect()
}

fn change(change: contract::Change) -> Result<Change, Refused> {
    let layers = change.layers;
    if layers.is_empty() || layers.chars().nth(PATTERN).is_some() || !is_line(&layers) {
        return Err(format!(
            "a pattern of layers is empty, longer than {PATTERN} characters or has control characters: `{}`",
            line(&layers, 60)
        )
        .into());
    }
    let action = match change.action {
        contract::Action::Freeze => Action::Freeze,
        contract::Action::Unfreeze => Action::Unfreeze,
        contract::Action::LrScale(scale) => Action::LrScale(scale),
        contract::Action::WeightDecay(decay) => Action::WeightDecay(decay),
        contract::Action::Reinit(scheme) => Action::Reinit(match scheme {
            contract::InitScheme::Zeros => InitScheme::Zeros,
            contract::InitScheme::Normal(std) => InitScheme::Normal(std),
            contract::InitScheme::KaimingUniform => InitScheme::KaimingUniform,
            contract::InitScheme::XavierUniform => InitScheme::XavierUniform,
            contract::InitScheme::Pretrained => InitScheme::Pretrained,
        }),
    };
    action.check().map_err(|reason| format!("it gave `{}` {reason}", line(&layers, 60)))?;
    Ok(Change { layers, action, reason: sentence(&change.reason) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SENTENCE;
    use super::*;

    fn with(layers: &str, action: contract::Action) -> Result<Vec<Change>, String> {
        let reason = "no\nwarning   forged".into();
        changes(vec![contract::Change { layers: layers.into(), action, reason }]).map_err(|refused| refused.reason)
    }

    #[test]
    fn numbers_that_no_optimiser_can_use_are_refused_with_their_change() {
        assert!(with("**", contract::Action::LrScale(0.0)).is_ok());
        assert_eq!(
            with("**", contract::Action::LrScale(f64::NAN)).unwrap_err(),
            "it gave `**` a learning-rate scale of NaN, expected a number from 0 to 10000"
        );
        assert_eq!(
            with("head", contract::Action::Reinit(contract::InitScheme::Normal(1e300))).unwrap_err(),
            "it gave `head` a standard deviation of 1e300, expected a number from 0 to 100"
        );
        assert!(with("**", contract::Action::WeightDecay(f64::INFINITY)).is_err());
    }

    #[test]
    fn patterns_and_reasons_are_lines_of_bounded_length() {
        let taken = with("a.*", contract::Action::Freeze).unwrap();
        assert_eq!((taken[0].action, &*taken[0].reason), (Action::Freeze, "no warning   forged"));
        assert!(with("", contract::Action::Freeze).is_err());
        assert!(with(&"*".repeat(PATTERN + 1), contract::Action::Freeze).is_err());
        assert_eq!(
            with("a\u{202e}", contract::Action::Freeze).unwrap_err(),
            "a pattern of layers is empty, longer than 512 characters or has control characters: `a\u{fffd}`"
        );
        let nothing = contract::Change { layers: "a".into(), action: contract::Action::Freeze, reason: String::new() };
        assert!(changes(vec![nothing; CHANGES + 1]).is_err());
    }

    fn any_action() -> impl Strategy<Value = contract::Action> {
        prop_oneof![
            Just(contract::Action::Freeze),
            any::<f64>().prop_map(contract::Action::LrScale),
            (0.0..20_000.0).prop_map(contract::Action::LrScale),
            any::<f64>().prop_map(contract::Action::WeightDecay),
            any::<f64>().prop_map(|std| contract::Action::Reinit(contract::InitScheme::Normal(std))),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_taken_can_be_shown_and_used(
            layers in "(?s).{0,12}", action in any_action(), reason in "(?s).{0,40}", times in 1usize..60
        ) {
            let said = contract::Change { layers: layers.clone(), action, reason: reason.repeat(times) };
            match changes(vec![said]) {
                Ok(taken) => {
                    prop_assert!(is_line(&taken[0].layers) && taken[0].layers == layers);
                    prop_assert!(is_line(&taken[0].reason) && taken[0].reason.chars().count() <= SENTENCE + 1);
                    prop_assert!(taken[0].action.check().is_ok());
                }
                Err(refused) => prop_assert!(is_line(&refused.reason) && refused.reason.len() < 400),
            }
        }
    }
}
