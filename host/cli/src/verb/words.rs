//! What `retune predict` says of words: each with its tag, on one line for a text.

use retune_train::{TaggedWord, Tagging};
use serde_json::{Map, Value as Json, json};

use super::texts::Asked;

/// The words of one text, and the tags of those that have one.
pub struct Words<'a> {
    words: Vec<String>,
    /// None for a text that is dropped before the model.
    tags: Option<Vec<Option<(&'a str, f64)>>>,
}

impl<'a> Words<'a> {
    /// Of what was asked in `column`.
    pub fn new(asked: &Asked, column: &str, answer: Option<Tagging>, labels: &'a [String]) -> Self {
        let words = asked.fields.as_ref().map(|fields| words(fields, column)).unwrap_or_default();
        let tags = answer.map(|answer| {
            let mut tags = vec![None; words.len()];
            for TaggedWord { word, label, probability } in answer.words {
                if let (Some(slot), Some(label)) = (tags.get_mut(word), labels.get(label)) {
                    *slot = Some((label.as_str(), probability));
                }
            }
            tags
        });
        Self { words, tags }
    }

    /// `EU/B-ORG rejects/O`; a word that was cut off has a dash.
    pub fn line(&self) -> String {
        let Some(tags) = &self.tags else {
            return match self.words.is_empty() {
                true => "–  (no text)".to_owned(),
                false => {
                    format!("–  (dropped: a preprocessor refused it, or it has no token)  {}", self.words.join(" "))
                }
            };
        };
        let tag = |tag: &Option<(&'a str, f64)>| tag.map_or("–", |(tag, _)| tag);
        self.words.iter().zip(tags).map(|(word, t)| format!("{word}/{}", tag(t))).collect::<Vec<_>>().join(" ")
    }

    /// Lists of the same length: words, tags and how probable each is.
    pub fn json(&self) -> Json {
        let Some(tags) = &self.tags else { return json!({ "tokens": self.words, "tags": null, "dropped": true }) };
        let names: Vec<Option<&str>> = tags.iter().map(|tag| tag.map(|(tag, _)| tag)).collect();
        let probabilities: Vec<Option<f64>> = tags.iter().map(|tag| tag.map(|(_, probability)| probability)).collect();
        json!({ "tokens": self.words, "tags": names, "probabilities": probabilities })
    }
}

/// A list of words, or those of a text with spaces between them.
fn words(fields: &Map<String, Json>, column: &str) -> Vec<String> {
    let of_text = |text: &str| match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => words,
        Err(_) => text.split_whitespace().map(str::to_owned).collect(),
    };
    match fields.get(column) {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        Some(Json::String(text)) => of_text(text),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tokens: Json) -> Asked {
        let fields = [("tokens".to_owned(), tokens)].into_iter().collect();
        Asked { text: String::new(), fields: Some(fields) }
    }

    #[test]
    fn every_word_stands_with_its_tag_and_one_that_was_cut_with_none() {
        let labels = ["O".to_owned(), "B-ORG".to_owned()];
        let word = |word, label| TaggedWord { word, label, probability: 0.75 };
        let answer = || Some(Tagging { key: "t:1".to_owned(), words: vec![word(0, 1), word(1, 0)] });
        for tokens in [json!(["EU", "rejects", "New York"]), json!(r#"["EU", "rejects", "New York"]"#)] {
            let words = Words::new(&asked(tokens), "tokens", answer(), &labels);
            assert_eq!(words.line(), "EU/B-ORG rejects/O New York/–");
            assert_eq!(
                words.json(),
                json!({ "tokens": ["EU", "rejects", "New York"], "tags": ["B-ORG", "O", null], "probabilities": [0.75, 0.75, null] })
            );
        }
        let text = Words::new(&asked(json!("EU  rejects")), "tokens", answer(), &labels);
        assert_eq!(text.line(), "EU/B-ORG rejects/O");
        let dropped = Words::new(&asked(json!("EU")), "tokens", None, &labels);
        assert_eq!(dropped.json(), json!({ "tokens": ["EU"], "tags": null, "dropped": true }));
        assert!(dropped.line().ends_with("EU"));
    }
}
