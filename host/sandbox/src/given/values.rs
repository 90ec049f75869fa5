//! What a metric gives: the values it describes, and what they are.

use retune_roles::ValueSpec;
use retune_roles::text::line;

use super::{Refused, check_names};
use crate::bindings::guest::metric as contract;

/// Most values, one per class included.
const VALUES: usize = 10_000;

/// Longest unit, in characters.
const UNIT: usize = 32;

/// What `describe` said.
pub(crate) fn described(specs: Vec<contract::ValueSpec>) -> Result<Vec<ValueSpec>, Refused> {
    if specs.is_empty() {
        return Err("it describes no value".to_owned().into());
    }
    check_names(specs.iter().map(|s| s.name.as_str()), "a value", VALUES)?;
    let spec = |s: contract::ValueSpec| ValueSpec {
        name: s.name,
        unit: s.unit.map(|unit| line(&unit, UNIT)),
        higher_is_better: s.higher_is_better,
    };
    Ok(specs.into_iter().map(spec).collect())
}

/// What `compute` gave: the described values first and in their order, further ones after them.
pub(crate) fn measured(values: Vec<(String, f64)>, described: &[ValueSpec]) -> Result<Vec<(String, f64)>, Refused> {
    check_names(values.iter().map(|(name, _)| name.as_str()), "a value", VALUES)?;
    for (index, spec) in described.iter().enumerate() {
        match values.get(index) {
            Some((name, _)) if *name == spec.name => {}
            Some((name, _)) => {
                let promised = &spec.name;
                return Err(format!("value {} is `{name}`, `describe` promised `{promised}`", index + 1).into());
            }
            None => return Err(format!("the value `{}` that `describe` promised is missing", spec.name).into()),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(names: &[&str]) -> Result<Vec<ValueSpec>, Refused> {
        let unit = || Some("per\ncent".repeat(9));
        let spec = |name: &&str| contract::ValueSpec { name: (*name).into(), unit: unit(), higher_is_better: true };
        described(names.iter().map(spec).collect())
    }

    #[test]
    fn values_are_those_that_were_promised_and_further_ones() {
        let promised = specs(&["f1", "recall"]).unwrap();
        assert!(
            promised[0].unit.as_ref().is_some_and(|unit| unit.starts_with("per cent") && unit.chars().count() == 33)
        );
        let told = |names: &[&str]| {
            let values = names.iter().map(|name| ((*name).to_owned(), 0.5)).collect();
            measured(values, &promised).map_or_else(|refused| refused.reason, |values| values.len().to_string())
        };
        assert_eq!(told(&["f1", "recall", "f1.yes"]), "3");
        assert_eq!(told(&["recall", "f1"]), "value 1 is `recall`, `describe` promised `f1`");
        assert_eq!(told(&["f1"]), "the value `recall` that `describe` promised is missing");
        assert_eq!(told(&["f1", "f1"]), "a value is named `f1` twice");
        assert_eq!(specs(&[]).unwrap_err().reason, "it describes no value");
        assert!(specs(&["a\nb"]).is_err());
    }
}
