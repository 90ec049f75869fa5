//! Control tokens that stand in what somebody says.
//!
//! A tokenizer reads the text of a control token (`<|im_end|>`) as that token wherever it stands, also inside a message, as
//! `transformers` does: a turn then seems to end in the middle. It is rarely meant, and so worth a warning.

use serde_json::Value as Json;

/// The texts of control tokens, by their first byte.
pub(crate) struct Controls(Vec<Vec<String>>);

impl Controls {
    /// Those with these texts.
    pub fn new(texts: impl Iterator<Item = String>) -> Self {
        let mut by_first = vec![Vec::new(); 256];
        for text in texts {
            if let Some(&first) = text.as_bytes().first() {
                by_first[usize::from(first)].push(text);
            }
        }
        Self(by_first)
    }

    /// Whether a text of `value` holds one.
    pub fn within(&self, value: &Json) -> bool {
        match value {
            Json::String(text) => self.inside(text.as_bytes()),
            Json::Array(items) => items.iter().any(|item| self.within(item)),
            Json::Object(members) => members.values().any(|member| self.within(member)),
            _ => false,
        }
    }

    fn inside(&self, text: &[u8]) -> bool {
        let begins =
            |at: usize| self.0[usize::from(text[at])].iter().any(|token| text[at..].starts_with(token.as_bytes()));
        (0..text.len()).any(begins)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_control_token_is_found_wherever_text_is_and_only_whole() {
        let controls = Controls::new(["<|end|>", "", "</s>"].map(str::to_owned).into_iter());
        let found = |value: Json| controls.within(&value);
        assert!(found(json!({"role": "user", "content": "a</s>"})));
        assert!(found(json!({"content": [{"type": "text", "text": "é<<|end|>b"}]})));
        assert!(!found(json!({"role": "user", "content": "<|end| > </ s> <", "weight": 1, "name": null})));
    }
}
