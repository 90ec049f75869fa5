//! What `retune predict` says of rows that have any number of labels, or numbers.

use retune_roles::Task;
use retune_train::Scores;
use serde_json::{Map, Value as Json, json};

use super::texts::Asked;
use retune_run::report::svg::short;

/// Labels are told from this probability on, unless the command says otherwise.
pub const THRESHOLD: f64 = 0.5;

/// How answers are told.
pub struct Told<'a> {
    names: &'a [String],
    /// The probability from which a label is named; none for numbers.
    threshold: Option<f64>,
}

impl<'a> Told<'a> {
    /// For the labels or numbers of `task`.
    pub fn new(task: &'a Task, threshold: f64) -> Self {
        let threshold = matches!(task, Task::MultiLabelClassification { .. }).then_some(threshold);
        Self { names: task.labels(), threshold }
    }

    /// `rude 0.91, spam 0.77  the text`, or `score 3.25  the text`.
    pub fn line(&self, asked: &Asked, answer: Option<&Scores>) -> String {
        let text = &asked.text;
        match answer {
            Some(answer) => {
                let told: Vec<String> = self.told(answer).map(|(name, value)| self.told_as(name, value)).collect();
                format!("{}  {text}", if told.is_empty() { "–".to_owned() } else { told.join(", ") })
            }
            None if asked.fields.is_none() => "–  (no text)".to_owned(),
            None => format!("–  (dropped: a preprocessor refused it, or it has no token)  {text}"),
        }
    }

    fn told_as(&self, name: &str, value: f64) -> String {
        match self.threshold {
            Some(_) => format!("{name} {value:.4}"),
            None => format!("{name} {}", short(value)),
        }
    }

    /// Labels above the threshold, the most probable first; or all numbers.
    fn told(&self, answer: &Scores) -> impl Iterator<Item = (&'a str, f64)> {
        let all = self.names.iter().map(String::as_str).zip(answer.values.iter().copied());
        let mut told: Vec<(&str, f64)> = match self.threshold {
            Some(threshold) => all.filter(|(_, probability)| *probability >= threshold).collect(),
            None => all.collect(),
        };
        if self.threshold.is_some() {
            told.sort_by(|one, other| other.1.total_cmp(&one.1));
        }
        told.into_iter()
    }

    /// The same as JSON: all probabilities with the labels that reach the threshold, or the numbers by name.
    pub fn json(&self, text: &str, answer: Option<&Scores>) -> Json {
        let key = if self.threshold.is_some() { "labels" } else { "predictions" };
        let Some(answer) = answer else { return json!({ "text": text, key: null, "dropped": true }) };
        let all: Map<String, Json> =
            self.names.iter().cloned().zip(answer.values.iter().map(|value| Json::from(*value))).collect();
        match self.threshold {
            Some(_) => {
                let labels: Vec<&str> = self.told(answer).map(|(name, _)| name).collect();
                json!({ "text": text, "labels": labels, "probabilities": all })
            }
            None => json!({ "text": text, "predictions": all }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retune_roles::TaskKind;

    fn asked() -> Asked {
        Asked { text: "hi".to_owned(), fields: Some(Map::new()) }
    }

    fn scores(values: &[f64]) -> Scores {
        Scores { key: "t:1".to_owned(), values: values.to_vec() }
    }

    #[test]
    fn labels_are_those_that_reach_the_threshold_the_most_probable_first() {
        let task =
            TaskKind::MultiLabelClassification.with_labels(["rude", "spam", "threat"].map(String::from).to_vec());
        let answer = scores(&[0.5, 0.75, 0.25]);
        let told = Told::new(&task, THRESHOLD);
        assert_eq!(told.line(&asked(), Some(&answer)), "spam 0.7500, rude 0.5000  hi");
        assert_eq!(
            told.json("hi", Some(&answer)),
            json!({"text": "hi", "labels": ["spam", "rude"], "probabilities": {"rude": 0.5, "spam": 0.75, "threat": 0.25}})
        );
        let strict = Told::new(&task, 0.8);
        assert_eq!(strict.line(&asked(), Some(&answer)), "–  hi");
        assert_eq!(strict.json("hi", None), json!({"text": "hi", "labels": null, "dropped": true}));
    }

    #[test]
    fn numbers_are_told_by_name_and_in_order_whatever_their_size() {
        let task = TaskKind::Regression.with_labels(["price", "age"].map(String::from).to_vec());
        let told = Told::new(&task, THRESHOLD);
        let answer = scores(&[-2.5, 0.125]);
        assert_eq!(told.line(&asked(), Some(&answer)), "price -2.5, age 0.125  hi");
        assert_eq!(told.json("hi", Some(&answer)), json!({"text": "hi", "predictions": {"price": -2.5, "age": 0.125}}));
        assert_eq!(told.json("hi", None), json!({"text": "hi", "predictions": null, "dropped": true}));
    }
}
