//! Reading further tokens of a text, token by token or many at once.

use retune_tensor::AnyTensor;
use retune_tensor::device::is_host;

use super::{Input, KeyValueCache, Model, ModelError, Weights};

impl Model {
    /// Reads tokens of several documents, each behind what its cache holds, and gives the logits of the last one of each,
    /// `[documents, vocab]`; the caches hold them then. A document's logits are those of [`Model::forward`] on all of its
    /// tokens, to rounding. Caches must be of this model, and either all empty or none.
    ///
    /// # Errors
    /// The model does not predict the next token, or a document is empty or does not fit it.
    pub fn extend(
        &self,
        weights: &Weights,
        documents: &mut [(&[u32], &mut KeyValueCache)],
    ) -> Result<AnyTensor, ModelError> {
        let pieces: Vec<(&[u32], usize)> = documents.iter().map(|(ids, cache)| (*ids, cache.tokens())).collect();
        let input = Input::continuing(&pieces, &self.config, &self.device)?;
        let mut caches: Vec<&mut KeyValueCache> = documents.iter_mut().map(|(_, cache)| &mut **cache).collect();
        let mut run = || self.network.extend(weights, &input, &mut caches);
        // As in `Model::forward`.
        let logits = if is_host(&self.device) { rayon::scope(|_| run()) } else { run() };
        documents.iter_mut().for_each(|(_, cache)| cache.reached());
        logits.map(AnyTensor::from).ok_or_else(|| {
            ModelError::request("this model puts rows into classes; only a language model predicts the next token")
        })
    }

    /// Whether what `cache` holds, or the beginning of it, holds in a document of `length` tokens. It does, but for rotary positions
    /// that depend on the length (`dynamic`, `longrope`): there the text has to be read anew.
    pub fn keeps(&self, cache: &KeyValueCache, length: usize) -> bool {
        cache.is_empty() || self.network.keeps(cache.length(), length)
    }
}
