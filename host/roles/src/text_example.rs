//! A generated text and what it should have been: what a metric of texts is fed.

/// One row of an evaluation set, answered by the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextExample {
    /// The row's key, for messages: `train.csv:17`.
    pub key: String,
    /// What the model was given, as text.
    pub prompt: String,
    /// What it answered, without the tokens that end an answer and without white space around it.
    pub prediction: String,
    /// What would have been right; at least one.
    pub references: Vec<String>,
    /// The row's further columns, as a JSON object.
    pub extra: String,
}

impl TextExample {
    /// A prediction and its references, without a prompt.
    pub fn new(key: impl Into<String>, prediction: impl Into<String>, references: &[&str]) -> Self {
        Self {
            key: key.into(),
            prediction: prediction.into(),
            references: references.iter().map(|text| (*text).to_owned()).collect(),
            extra: "{}".into(),
            ..Self::default()
        }
    }
}
