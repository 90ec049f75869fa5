//! Rows answered by generation.

use std::{ops::ControlFlow, sync::Arc};

use retune_roles::Tokenizer;

use crate::{
    error::TrainError,
    evaluation::answers::Writer,
    generation::{GenerationSpec, Generator, NewToken},
    model::Model,
    seeds::{Purpose, seed_of},
};

/// Continues prompts so many at a time. What is drawn for a row depends on its number among those that are asked, not on the
/// batch.
#[derive(Clone)]
pub struct Generated {
    /// How.
    pub spec: GenerationSpec,
    /// Prompts at a time, 1 at least.
    pub batch_size: usize,
    /// For stop strings, without which none is needed.
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
}

impl Writer for Generated {
    fn write(
        &self,
        model: &Model,
        prompts: &[Vec<u32>],
        first: usize,
        ends: &[u32],
        written: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u32>>, TrainError> {
        let mut spec = self.spec.clone();
        // Prompts are numbered from 0 in each call, and the seed tells them apart.
        spec.seed = seed_of(spec.seed, Purpose::Asked, first as u64, 1);
        spec.eos_token_id.extend(ends);
        spec.eos_token_id.sort_unstable();
        spec.eos_token_id.dedup();
        let mut watch = |token: &NewToken| match token.finish {
            Some(_) => written(),
            None => ControlFlow::Continue(()),
        };
        let tokenizer = self.tokenizer.as_deref();
        let answers = Generator::new(model, &spec, tokenizer)?.run(prompts, self.batch_size, &mut watch)?;
        Ok(answers.into_iter().map(|answer| answer.ids).collect())
    }
}
