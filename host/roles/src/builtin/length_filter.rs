//! Drops rows whose text is too short or too long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::preprocessor::Fields;
use crate::{
    BatchResult, ErrorKind, Failure, Output, Preprocessor, PreprocessorContract, Refusal, Rejection, Result, RoleKind,
    Sample, Value,
};

const NAME: &str = "length-filter";

/// Settings of [`LengthFilter`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthFilterConfig {
    /// The text fields to measure, together; left out, all columns that the model reads.
    #[serde(default = "text")]
    #[schemars(length(min = 1), extend("x-from-recipe" = "input-columns"))]
    pub fields: Vec<String>,
    /// Fewest characters (Unicode scalar values) a row may have.
    #[serde(default)]
    pub min_chars: usize,
    /// Most characters a row may have; absent means no bound.
    #[serde(default)]
    pub max_chars: Option<usize>,
}

fn text() -> Vec<String> {
    vec!["text".into()]
}

/// Passes rows through unchanged, or rejects them as `too-short` or `too-long`.
#[derive(Clone, Debug)]
pub struct LengthFilter {
    config: LengthFilterConfig,
    contract: PreprocessorContract,
}

impl LengthFilter {
    /// With these settings.
    ///
    /// # Errors
    /// When no length can satisfy them.
    pub fn new(config: LengthFilterConfig) -> std::result::Result<Self, Refusal> {
        if let Some(max) = config.max_chars.filter(|max| *max < config.min_chars) {
            let message =
                format!("`max_chars` is {max} and `min_chars` is {}; every row would be dropped", config.min_chars);
            return Err(Refusal::new(ErrorKind::Config, message));
        }
        if config.fields.is_empty() {
            return Err(Refusal::new(ErrorKind::Config, "`fields` is empty; name the columns to measure"));
        }
        let contract =
            PreprocessorContract { reads: config.fields.clone(), writes: Vec::new(), stateful: false, cacheable: true };
        Ok(Self { config, contract })
    }

    fn chars(&self, fields: &Fields) -> std::result::Result<usize, String> {
        self.config.fields.iter().map(|field| Self::chars_of(fields, field)).sum()
    }

    fn chars_of(fields: &Fields, field: &str) -> std::result::Result<usize, String> {
        let named = fields.iter().find(|(name, _)| name == field).map(|(_, value)| value);
        match named {
            Some(Value::Text(text)) => Ok(text.chars().count()),
            Some(Value::Null) => Ok(0),
            Some(other) => Err(format!("field `{field}` is {}, expected text", other.kind())),
            None => {
                let known: Vec<_> = fields.iter().map(|(name, _)| format!("`{name}`")).collect();
                Err(format!("there is no field `{field}`; the row has {}", known.join(", ")))
            }
        }
    }
}

impl Preprocessor for LengthFilter {
    fn name(&self) -> &str {
        NAME
    }

    fn describe(&self) -> &PreprocessorContract {
        &self.contract
    }

    fn process(&mut self, batch: &[Sample]) -> Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, sample) in batch.iter().enumerate() {
            let source = source as u32;
            let chars = self.chars(&sample.fields).map_err(|reason| {
                Failure::new(NAME, RoleKind::Preprocessor, "process", reason).at(format!("sample {}", sample.key))
            })?;
            let reason = if chars < self.config.min_chars {
                "too-short"
            } else if self.config.max_chars.is_some_and(|max| chars > max) {
                "too-long"
            } else {
                result.outputs.push(Output { source, fields: sample.fields.clone() });
                continue;
            };
            result.rejected.push(Rejection { source, reason: reason.into() });
        }
        Ok(result)
    }

    fn finish(&mut self) -> Result<Vec<Output>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &str, value: Value) -> Sample {
        Sample { key: key.into(), seed: 0, fields: vec![("text".into(), value), ("label".into(), Value::Integer(1))] }
    }

    fn filter(min_chars: usize, max_chars: Option<usize>) -> LengthFilter {
        LengthFilter::new(LengthFilterConfig { fields: vec!["text".into()], min_chars, max_chars }).unwrap()
    }

    #[test]
    fn bounds_are_inclusive_and_count_characters_not_bytes() {
        let rows = ["", "a", "äöü", "four", "fives"].map(|t| sample(t, Value::Text(t.into())));
        let result = filter(1, Some(4)).process(&rows).unwrap();
        assert_eq!(result.outputs.iter().map(|o| o.source).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(result.outputs[1].fields, rows[2].fields);
        let rejected: Vec<_> = result.rejected.iter().map(|r| (r.source, r.reason.as_str())).collect();
        assert_eq!(rejected, [(0, "too-short"), (4, "too-long")]);
    }

    #[test]
    fn an_absent_text_has_no_characters() {
        let result = filter(1, None).process(&[sample("a", Value::Null)]).unwrap();
        assert_eq!(result.rejected[0].reason, "too-short");
    }

    #[test]
    fn several_fields_are_measured_together() {
        let fields = vec![("text".into(), Value::Text("äö".into())), ("pair".into(), Value::Text("abc".into()))];
        let row = Sample { key: "k".into(), seed: 0, fields };
        let kept = |min_chars, max_chars| {
            let config = LengthFilterConfig { fields: vec!["text".into(), "pair".into()], min_chars, max_chars };
            LengthFilter::new(config).unwrap().process(std::slice::from_ref(&row)).unwrap().outputs.len()
        };
        assert_eq!((kept(5, Some(5)), kept(6, None), kept(0, Some(4))), (1, 0, 0));
    }

    #[test]
    fn a_missing_field_is_reported_with_the_row_and_the_fields_it_has() {
        let row = Sample { key: "train.csv:7".into(), seed: 0, fields: vec![("body".into(), Value::Null)] };
        let failure = filter(1, None).process(&[row]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "preprocessor length-filter failed in `process` at sample train.csv:7: there is no field `text`; the row has `body`"
        );
        let failure = filter(1, None).process(&[sample("k", Value::Integer(3))]).unwrap_err();
        assert!(failure.to_string().contains("is integer, expected text"), "{failure}");
    }

    #[test]
    fn bounds_that_drop_every_row_are_refused() {
        let config = LengthFilterConfig { fields: vec!["text".into()], min_chars: 5, max_chars: Some(4) };
        assert!(LengthFilter::new(config).unwrap_err().message.contains("every row would be dropped"));
    }
}
