//! One number of a check, and the largest difference between two lists.

use serde_json::json;

/// One number, and the bound it has to keep when there is one.
#[derive(Clone, Debug)]
pub struct Finding {
    pub(super) check: String,
    /// Of which model or case, when there are several.
    pub(super) of: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    pub(super) at_most: Option<f64>,
}

impl Finding {
    /// A number that is only reported.
    pub fn rate(check: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { check: check.into(), of: String::new(), value, unit, at_most: None }
    }

    /// A number that may not exceed `bound`.
    pub fn bounded(check: impl Into<String>, value: f64, unit: &'static str, bound: f64) -> Self {
        Self { check: check.into(), of: String::new(), value, unit, at_most: Some(bound) }
    }

    /// A difference that may not exceed `bound`, of one of several models or cases for which the same is checked.
    pub fn difference(check: impl Into<String>, of: impl Into<String>, value: f64, bound: f64) -> Self {
        Self { check: check.into(), of: of.into(), value, unit: "", at_most: Some(bound) }
    }

    /// Whether it has a bound.
    pub fn is_comparison(&self) -> bool {
        self.at_most.is_some()
    }

    /// Whether the bound is kept. A value that is not a number keeps none.
    pub fn holds(&self) -> bool {
        self.at_most.map_or(self.value.is_finite(), |bound| self.value <= bound)
    }

    /// As one JSON object.
    pub fn json(&self) -> String {
        let Self { check, of, value, unit, at_most } = self;
        json!({ "check": check, "of": of, "value": value, "unit": unit, "at_most": at_most, "ok": self.holds() })
            .to_string()
    }
}

/// The largest difference between two lists; infinite when they differ in length or hold what is no number.
pub fn largest_difference(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let differences = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
    differences.fold(0.0, |largest, next| if next.is_nan() { f64::INFINITY } else { largest.max(next) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_number_keeps_no_bound() {
        assert!(!Finding::bounded("x", f64::NAN, "", 1.0).holds());
        assert!(!Finding::rate("x", f64::NAN, "").holds());
        assert!(Finding::bounded("x", 1.0, "", 1.0).holds());
        assert_eq!(largest_difference(&[1.0, f32::NAN], &[1.0, 2.0]), f64::INFINITY);
        assert_eq!(largest_difference(&[1.0], &[1.0, 2.0]), f64::INFINITY);
    }
}
