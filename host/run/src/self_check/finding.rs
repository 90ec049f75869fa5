//! One number of a check, and the largest difference between two lists.

use serde_json::json;

/// One number, and the bound it has to keep when there is one.
#[derive(Clone, Debug)]
pub struct Finding {
    name: String,
    value: f64,
    unit: &'static str,
    at_most: Option<f64>,
}

impl Finding {
    /// A number that is only reported.
    pub fn rate(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, at_most: None }
    }

    /// A number that may not exceed `bound`.
    pub fn bounded(name: impl Into<String>, value: f64, unit: &'static str, bound: f64) -> Self {
        Self { name: name.into(), value, unit, at_most: Some(bound) }
    }

    /// Whether the bound is kept. A value that is not a number keeps none.
    pub fn holds(&self) -> bool {
        self.at_most.map_or(self.value.is_finite(), |bound| self.value <= bound)
    }

    /// As one JSON object.
    pub fn json(&self) -> String {
        json!({ "check": self.name, "value": self.value, "unit": self.unit, "at_most": self.at_most, "ok": self.holds() })
            .to_string()
    }

    /// As a line of a table.
    pub fn line(&self) -> String {
        let bound = self.at_most.map_or(String::new(), |bound| format!("at most {}", number(bound)));
        let mark = if self.holds() { "ok" } else { "FAILED" };
        format!("{:<62} {:>10} {:<10} {bound:<18} {mark}", self.name, number(self.value), self.unit)
    }
}

/// Four digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (0.001..100_000.0).contains(&size) => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
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
