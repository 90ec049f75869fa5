//! What a model has read of a text, for one that begins alike: the next turn of a conversation.
//!
//! A text that begins with the same tokens is read from where they part. What is computed of a token depends on the tokens before it
//! alone, so that what is kept is what would be computed again, to rounding; where it depends on the length of the text (`dynamic` and
//! `longrope` rotary positions), [`Model::keeps`](crate::model::Model::keeps) says so, and the text is read anew. Price: the memory of
//! the [`KeyValueCache`] stays between two texts.

use crate::model::{KeyValueCache, Model};

/// The tokens that one model has read, and what it keeps of them.
#[derive(Clone, Debug, Default)]
pub struct ReadText {
    ids: Vec<u32>,
    cache: KeyValueCache,
}

impl ReadText {
    /// How many tokens were read.
    pub fn tokens(&self) -> usize {
        self.cache.tokens()
    }

    /// With how many of them `prompt` begins, its last one left out, whose logits are wanted.
    pub fn shared(&self, prompt: &[u32]) -> usize {
        let most = prompt.len().saturating_sub(1);
        self.ids.iter().zip(&prompt[..most]).take_while(|(a, b)| a == b).count()
    }

    /// What is kept for `prompt`, which is taken out.
    pub(super) fn take(&mut self, model: &Model, prompt: &[u32]) -> KeyValueCache {
        let shared = self.shared(prompt);
        let Self { mut cache, .. } = std::mem::take(self);
        if model.keeps(&cache, prompt.len()) {
            cache.truncate(shared);
        } else {
            cache.clear();
        }
        cache
    }

    /// Keeps what was read of the text `ids`.
    pub(super) fn keep(&mut self, mut ids: Vec<u32>, cache: KeyValueCache) {
        ids.truncate(cache.tokens());
        *self = Self { ids, cache };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use retune_roles::Task;
    use retune_tensor::Device;

    use super::*;
    use crate::model::Base;

    /// Of 24 positions, or of 8 that the text's length stretches.
    fn model(scaled: bool) -> Model {
        let place = tempfile::tempdir().unwrap();
        let (positions, scaling) = match scaled {
            true => (8, r#", "rope_scaling": {"rope_type": "dynamic", "factor": 3.0}"#),
            false => (24, ""),
        };
        let config = format!(
            r#"{{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16, "max_position_embeddings": {positions},
                "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 100.0, "tie_word_embeddings": true{scaling}}}"#
        );
        let path = place.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Model::load(&Base::Config(path), &Task::CausalLm, 3, &Device::flex()).unwrap().0
    }

    /// What is kept of the text 0, 1, 2 … for `prompt`.
    fn kept(model: &Model, read: u32, prompt: &[u32]) -> usize {
        let ids: Vec<u32> = (0..read).collect();
        let mut cache = KeyValueCache::default();
        model.extend(&model.weights(false), &mut [(&ids, &mut cache)]).unwrap();
        let mut text = ReadText::default();
        text.keep([&ids[..], &[49]].concat(), cache);
        assert_eq!(text.tokens(), read as usize);
        let cache = text.take(model, prompt);
        assert_eq!(text.tokens(), 0, "it is taken out");
        cache.tokens()
    }

    #[test]
    fn what_two_texts_begin_with_is_kept_but_for_the_last_token_of_the_new_one() {
        let model = model(false);
        assert_eq!(kept(&model, 6, &[0, 1, 2, 3, 4, 5, 49, 7]), 6, "49 was written, but not read");
        assert_eq!(kept(&model, 6, &[0, 1, 2, 9, 4, 5]), 3);
        assert_eq!(kept(&model, 6, &[0, 1, 2, 3, 4, 5]), 5);
        assert_eq!(kept(&model, 6, &[0, 1, 2]), 2);
        assert_eq!(kept(&model, 6, &[7, 1, 2]), 0);
        assert_eq!(kept(&model, 6, &[0]), 0);
    }

    #[test]
    fn nothing_is_kept_where_another_length_would_turn_it_otherwise() {
        let model = model(true);
        assert_eq!(kept(&model, 6, &[0, 1, 2, 3, 9, 9, 9, 9]), 4, "both within the trained positions");
        assert_eq!(kept(&model, 6, &[0, 1, 2, 3, 9, 9, 9, 9, 9]), 0, "one of them");
        assert_eq!(kept(&model, 12, &[0, 1, 2, 3]), 0, "the beginning was turned for twelve tokens");
        assert_eq!(kept(&model, 12, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9]), 11, "of the same length");
    }
}
