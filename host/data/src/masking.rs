//! Tokens that are hidden for a masked language model: which, and what stands in their place.
//!
//! As BERT does (Devlin et al. 2018) and `DataCollatorForLanguageModeling` of transformers: a token is chosen with some
//! probability; of the chosen ones four in five become the mask token, one in ten another token, and one in ten stays. Special tokens
//! are never chosen, nor put in another's place, where a padding token would move positions.
//!
//! What becomes of a token is a function of (seed, epoch, row, position) and of nothing else, so that neither the size of a
//! batch, nor the number of workers, nor going on from a checkpoint changes it. Evaluation hides the same tokens every time.
//! Price: two draws a token whenever a row is read.

use std::ops::Range;
use std::sync::Arc;

use retune_roles::{Example, IGNORE_INDEX, Target};
use retune_tensor::random::{Stream, bits, mix, unit};

use crate::spec::MaskSpec;
use crate::{DataError, Result, Tokenization};

/// Shares of the chosen tokens that become the mask token, and those or another token.
const MASKED: f64 = 0.8;
const REPLACED: f64 = 0.9;

/// Numbers that a position draws: whether it is chosen, what becomes of it, and which token it becomes.
const DRAWS: u64 = 3;

/// So that masks share no numbers with other draws of the same seed.
const PURPOSE: u64 = 0x6d61_736b;

/// How rows are masked; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Masking {
    seed: u64,
    probability: f64,
    mask: u32,
    /// Tokens that may stand in place of another.
    others: Arc<[u32]>,
    /// For each token whether it goes on with the word before it; empty when words do not count.
    continues: Arc<[bool]>,
}

impl Masking {
    /// As `spec` asks for, with the tokens of `tokenizer`.
    ///
    /// # Errors
    /// The tokenizer has no mask token, or does not show where words begin.
    pub fn new(spec: MaskSpec, seed: u64, tokenizer: &Tokenization) -> Result<Self> {
        let Some(mask) = tokenizer.mask() else {
            return Err(DataError::NoMaskToken { tokenizer: retune_roles::Tokenizer::name(tokenizer).to_owned() });
        };
        let continues = match spec.whole_word {
            true => tokenizer
                .continuations()
                .ok_or_else(|| DataError::NoWords { tokenizer: retune_roles::Tokenizer::name(tokenizer).to_owned() })?,
            false => Vec::new(),
        };
        let others = tokenizer.plain_ids();
        Ok(Self { seed, probability: spec.probability, mask, others: others.into(), continues: continues.into() })
    }

    /// Hides tokens of the example, whose sequence says as learnt which of them may be; `epoch` is none for evaluation.
    pub fn apply(&self, mut example: Example, row: usize, epoch: Option<u32>) -> Example {
        let Some(sequence) = example.sequences.first_mut() else { return example };
        let epoch = epoch.map_or(0, |epoch| u64::from(epoch) + 1);
        let seed = [PURPOSE, epoch, row as u64].into_iter().fold(mix(self.seed), |state, part| mix(state ^ mix(part)));
        let mut labels = vec![IGNORE_INDEX as i32; sequence.ids.len()];
        for range in std::mem::take(&mut sequence.learnt) {
            for word in self.words(&sequence.ids, range) {
                if unit(seed, DRAWS * word.start as u64) >= self.probability {
                    continue;
                }
                for place in word {
                    labels[place] = sequence.ids[place] as i32;
                    sequence.ids[place] = self.instead(sequence.ids[place], seed, DRAWS * place as u64);
                }
            }
        }
        example.target = Target::Labels(labels);
        example
    }

    /// What stands in place of a chosen token; `draw` is the first of its position.
    fn instead(&self, id: u32, seed: u64, draw: u64) -> u32 {
        match unit(seed, draw + 1) {
            share if share < MASKED => self.mask,
            share if share < REPLACED && !self.others.is_empty() => {
                let at = Stream::new(bits(seed, draw + 2), 0).below(self.others.len() as u64);
                self.others[at as usize]
            }
            _ => id,
        }
    }

    /// The tokens of a range that are chosen together: each alone, or the words.
    fn words(&self, ids: &[u32], range: Range<u32>) -> Vec<Range<usize>> {
        let mut words: Vec<Range<usize>> = Vec::with_capacity(range.len());
        let within = range.start as usize..(range.end as usize).min(ids.len());
        for (place, id) in within.clone().zip(ids.get(within).unwrap_or_default()) {
            match words.last_mut() {
                Some(word) if self.continues.get(*id as usize).copied().unwrap_or(false) => word.end = place + 1,
                _ => words.push(place..place + 1),
            }
        }
        words
    }
}

#[cfg(test)]
#[path = "masking_tests.rs"]
mod tests;
