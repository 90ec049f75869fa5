//! What a preprocessor gives: its contract, and the rows it makes of rows.

use retune_roles::text::{is_line, line};
use retune_roles::{BatchResult, LONGEST_TEXT, Output, PreprocessorContract, Rejection, Sample, Value};

use super::{Refused, check_names};
use crate::bindings::guest::preprocessor as contract;

/// Most fields of a row.
const FIELDS: usize = 256;

/// Longest reason code, in characters; reasons are counted by code.
const CODE: usize = 64;

/// What `describe` said.
pub(crate) fn preprocessor_contract(said: contract::Contract) -> Result<PreprocessorContract, Refused> {
    check_names(said.reads.iter().map(String::as_str), "a field it reads", FIELDS)?;
    check_names(said.writes.iter().map(String::as_str), "a field it writes", FIELDS)?;
    Ok(PreprocessorContract {
        reads: said.reads,
        writes: said.writes,
        stateful: said.stateful,
        cacheable: said.cacheable,
    })
}

/// What `process` made of `batch`, when every claim in it holds.
pub(crate) fn processed(
    said: contract::BatchResult,
    batch: &[Sample],
    writes: &[String],
) -> Result<BatchResult, Refused> {
    let within = |source: u32, what: &str| match usize::try_from(source) {
        Ok(index) if index < batch.len() => Ok(index),
        _ => Err(Refused::from(format!(
            "{what} names source {source}, the last row of the batch is {}",
            batch.len().max(1) - 1
        ))),
    };
    let about = |reason: String, index: usize| Refused::from(reason).at(format!("sample {}", batch[index].key));
    let mut rejected = vec![false; batch.len()];
    for rejection in &said.rejected {
        let index = within(rejection.source, "a rejection")?;
        if std::mem::replace(&mut rejected[index], true) {
            return Err(about("the row is rejected twice".into(), index));
        }
        let code = &rejection.reason;
        if code.is_empty() || code.chars().nth(CODE).is_some() || !is_line(code) {
            let reason = format!("a rejection's reason is a short code like `too-long`, got `{}`", line(code, CODE));
            return Err(about(reason, index));
        }
    }
    let mut outputs = Vec::with_capacity(said.outputs.len());
    for output in said.outputs {
        let index = within(output.source, "an output")?;
        if rejected[index] {
            return Err(about("the row is both kept and rejected".into(), index));
        }
        let made = row(output, writes).map_err(|refused| refused.at(format!("sample {}", batch[index].key)))?;
        outputs.push(made);
    }
    let rejected = said.rejected.into_iter().map(|r| Rejection { source: r.source, reason: r.reason }).collect();
    Ok(BatchResult { outputs, rejected })
}

/// What `finish` gave: rows that come from none.
pub(crate) fn finished(said: Vec<contract::Output>, writes: &[String]) -> Result<Vec<Output>, Refused> {
    let row = |(index, output)| {
        let row = row(output, writes).map_err(|refused| refused.at(format!("its row {index}, counted from 0")))?;
        Ok(Output { source: 0, ..row })
    };
    said.into_iter().enumerate().map(row).collect()
}

/// A row has every promised field, each field once, values of bounded length, and JSON that is JSON.
fn row(output: contract::Output, writes: &[String]) -> Result<Output, Refused> {
    check_names(output.fields.iter().map(|(name, _)| name.as_str()), "a field", FIELDS)?;
    if let Some(missing) = writes.iter().find(|name| !output.fields.iter().any(|(field, _)| field == *name)) {
        return Err(format!("an output lacks the field `{missing}` that `describe` promised").into());
    }
    let fields: Vec<(String, Value)> = output.fields.into_iter().map(|(name, value)| (name, value_of(value))).collect();
    for (name, value) in &fields {
        let length = value.byte_len();
        if length > LONGEST_TEXT {
            return Err(Refused {
                reason: format!(
                    "the field `{name}` of an output has {length} bytes, the most is {LONGEST_TEXT} ({} MiB)",
                    LONGEST_TEXT >> 20
                ),
                place: None,
                help: Some("let the plugin split or cut what is that long, or leave the row out"),
            });
        }
        if let Value::Json(text) = value
            && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
        {
            return Err(format!("the field `{name}` is declared as JSON and is none").into());
        }
    }
    Ok(Output { source: output.source, fields })
}

fn value_of(value: contract::Value) -> Value {
    match value {
        contract::Value::Null => Value::Null,
        contract::Value::Boolean(value) => Value::Boolean(value),
        contract::Value::Integer(value) => Value::Integer(value),
        contract::Value::Number(value) => Value::Number(value),
        contract::Value::Text(value) => Value::Text(value),
        contract::Value::Bytes(value) => Value::Bytes(value),
        contract::Value::Ids(value) => Value::Ids(value),
        contract::Value::Numbers(value) => Value::Numbers(value),
        contract::Value::Json(value) => Value::Json(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch() -> Vec<Sample> {
        ["a", "b"].map(|key| Sample { key: key.into(), seed: 0, fields: Vec::new() }).into()
    }

    fn kept(source: u32, fields: &[(&str, contract::Value)]) -> contract::Output {
        contract::Output { source, fields: fields.iter().map(|(n, v)| ((*n).into(), v.clone())).collect() }
    }

    fn told(Refused { reason, place, .. }: Refused) -> String {
        format!("{reason} @ {}", place.as_deref().unwrap_or("the batch"))
    }

    fn verdict(outputs: Vec<contract::Output>, rejected: &[(u32, &str)]) -> String {
        let rejected =
            rejected.iter().map(|(source, reason)| contract::Rejection { source: *source, reason: (*reason).into() });
        let said = contract::BatchResult { outputs, rejected: rejected.collect() };
        match processed(said, &batch(), &["text".into()]) {
            Ok(result) => format!("{} kept, {} rejected", result.outputs.len(), result.rejected.len()),
            Err(refused) => told(refused),
        }
    }

    #[test]
    fn every_claim_about_rows_is_checked() {
        let text = || contract::Value::Text("t".into());
        let long = contract::Value::Text("t".repeat(LONGEST_TEXT + 1));
        let lines = [
            verdict(vec![kept(0, &[("text", text())])], &[(1, "too-long")]),
            verdict(vec![kept(2, &[("text", text())])], &[]),
            verdict(vec![], &[(7, "x")]),
            verdict(vec![], &[(1, "x"), (1, "y")]),
            verdict(vec![kept(1, &[("text", text())])], &[(1, "x")]),
            verdict(vec![], &[(0, "")]),
            verdict(vec![], &[(0, "no\nerror: forged")]),
            verdict(vec![kept(1, &[("other", text())])], &[]),
            verdict(vec![kept(1, &[("text", text()), ("text", text())])], &[]),
            verdict(vec![kept(1, &[("text", contract::Value::Json("{".into()))])], &[]),
            verdict(vec![kept(1, &[("text", long)])], &[]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        1 kept, 1 rejected
        an output names source 2, the last row of the batch is 1 @ the batch
        a rejection names source 7, the last row of the batch is 1 @ the batch
        the row is rejected twice @ sample b
        the row is both kept and rejected @ sample b
        a rejection's reason is a short code like `too-long`, got `` @ sample a
        a rejection's reason is a short code like `too-long`, got `no error: forged` @ sample a
        an output lacks the field `text` that `describe` promised @ sample b
        a field is named `text` twice @ sample b
        the field `text` is declared as JSON and is none @ sample b
        the field `text` of an output has 8388609 bytes, the most is 8388608 (8 MiB) @ sample b
        ");
    }

    #[test]
    fn a_row_at_the_end_is_told_by_its_number() {
        let text = |length: usize| kept(9, &[("text", contract::Value::Text("t".repeat(length)))]);
        let rows = finished(vec![text(1), text(LONGEST_TEXT)], &["text".into()]).unwrap();
        assert_eq!((rows.len(), rows[0].source), (2, 0), "at the bound a text is taken");
        let refused = finished(vec![text(1), text(LONGEST_TEXT + 1)], &[]).unwrap_err();
        assert_eq!(
            told(refused),
            "the field `text` of an output has 8388609 bytes, the most is 8388608 (8 MiB) @ its row 1, counted from 0"
        );
    }

    fn any_value() -> impl Strategy<Value = contract::Value> {
        prop_oneof![
            Just(contract::Value::Null),
            any::<bool>().prop_map(contract::Value::Boolean),
            any::<i64>().prop_map(contract::Value::Integer),
            any::<f64>().prop_map(contract::Value::Number),
            "(?s).{0,8}".prop_map(contract::Value::Text),
            proptest::collection::vec(any::<u8>(), 0..8).prop_map(contract::Value::Bytes),
            proptest::collection::vec(any::<u32>(), 0..4).prop_map(contract::Value::Ids),
            proptest::collection::vec(any::<f32>(), 0..4).prop_map(contract::Value::Numbers),
            "[\\[\\]{}0-9,\":]{0,8}".prop_map(contract::Value::Json),
        ]
    }

    proptest! {
        #[test]
        fn what_is_taken_keeps_its_values_and_every_claim(
            outputs in proptest::collection::vec(
                (0u32..4, proptest::collection::vec(("(?s)[ab\n]{0,2}", any_value()), 0..3)), 0..4),
            rejected in proptest::collection::vec((0u32..4, "(?s)[x\n\u{202e}]{0,2}"), 0..3),
        ) {
            let said = contract::BatchResult {
                outputs: outputs.iter().map(|(source, fields)| contract::Output { source: *source, fields: fields.clone() }).collect(),
                rejected: rejected.iter().map(|(source, reason)| contract::Rejection { source: *source, reason: reason.clone() }).collect(),
            };
            match processed(said, &batch(), &[]) {
                Ok(taken) => {
                    prop_assert_eq!(taken.outputs.len(), outputs.len());
                    for (made, (source, fields)) in taken.outputs.iter().zip(&outputs) {
                        prop_assert!(made.source == *source && *source < 2);
                        for ((name, value), (given_name, given)) in made.fields.iter().zip(fields) {
                            prop_assert!(name == given_name && is_line(name));
                            // As text, because NaN is no equal of itself.
                            let same = format!("{value:?}") == format!("{given:?}").replace("Value::", "");
                            prop_assert!(same, "{:?} and {:?}", value, given);
                        }
                    }
                    prop_assert!(taken.rejected.iter().all(|r| r.source < 2 && is_line(&r.reason) && !r.reason.is_empty()));
                }
                Err(refused) => prop_assert!(is_line(&refused.reason), "{}", refused.reason),
            }
        }
    }
}
