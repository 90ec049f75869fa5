//! The loop: read what is new, choose the next token of each text, let go of those that have ended.

use std::ops::{ControlFlow, Range};

use retune_roles::{Refusal, Task, Tokenizer};

use super::read_text::ReadText;
use super::text_stream::StopStrings;
use super::{GenerationSpec, draw};
use crate::error::TrainError;
use crate::model::{KeyValueCache, Model, Weights};

/// Why a text ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Its last token is one of [`GenerationSpec::eos_token_id`].
    EndToken,
    /// Its last token completes this one of [`GenerationSpec::stop_strings`].
    StopString(String),
    /// It has [`GenerationSpec::max_new_tokens`].
    Length,
    /// The model has no further positions.
    Positions,
    /// Whoever was told of its tokens asked to stop.
    Stopped,
}

/// What follows one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The new tokens, the one that ended the text included.
    pub ids: Vec<u32>,
    /// Why there are no more.
    pub finish: Finish,
}

/// A token, as soon as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The place of its prompt in the list.
    pub prompt: usize,
    /// The token.
    pub id: u32,
    /// Why it is the last one of its text, when it is.
    pub finish: Option<Finish>,
}

/// Continues `prompts`, so many at a time; the answers are in their order. `tokenizer` is for stop strings.
///
/// # Errors
/// Those of [`Generator::new`] and [`Generator::run`].
pub fn generate(
    model: &Model,
    prompts: &[Vec<u32>],
    spec: &GenerationSpec,
    tokenizer: Option<&dyn Tokenizer>,
    batch_size: usize,
) -> Result<Vec<Generation>, TrainError> {
    Generator::new(model, spec, tokenizer)?.run(prompts, batch_size, &mut |_| ControlFlow::Continue(()))
}

/// A model and how it continues texts.
pub struct Generator<'a> {
    model: &'a Model,
    weights: Weights,
    spec: &'a GenerationSpec,
    tokenizer: Option<&'a dyn Tokenizer>,
}

/// A text that has not ended.
struct Text<'a> {
    prompt: usize,
    /// Of the prompt.
    length: usize,
    ids: Vec<u32>,
    cache: KeyValueCache,
    stops: Option<StopStrings<'a>>,
}

impl<'a> Generator<'a> {
    /// `tokenizer` is needed for stop strings only.
    ///
    /// # Errors
    /// The model does not continue texts, or `spec` holds what cannot be.
    pub fn new(
        model: &'a Model,
        spec: &'a GenerationSpec,
        tokenizer: Option<&'a dyn Tokenizer>,
    ) -> Result<Self, TrainError> {
        if *model.task() != Task::CausalLm {
            return Err(TrainError::Data {
                problem: format!("a model for {} does not continue texts", model.task().kind().as_str()),
                help: Some("use a model trained with task = \"causal-lm\"".into()),
            });
        }
        spec.check(model.config().shape.vocab_size)?;
        if tokenizer.is_none() && !spec.stop_strings.is_empty() {
            return Err(TrainError::field("stop_strings", "texts are not known without a tokenizer"));
        }
        Ok(Self { model, weights: model.weights(false), spec, tokenizer })
    }

    /// Continues `prompts`, so many at a time; the answers are in their order. `watch` is told each token at once, and may
    /// stop: texts then end where they are.
    ///
    /// # Errors
    /// A prompt is empty or longer than the model's positions, or the model's logits are not numbers.
    pub fn run(
        &self,
        prompts: &[Vec<u32>],
        batch_size: usize,
        watch: &mut dyn FnMut(&NewToken) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, TrainError> {
        for (place, prompt) in prompts.iter().enumerate() {
            self.check(place, prompt)?;
        }
        let mut answers: Vec<Option<Generation>> = vec![None; prompts.len()];
        let begin = &mut |place: usize| self.begin(place, &prompts[place], KeyValueCache::default());
        self.texts(0..prompts.len(), begin, batch_size, watch, &mut |text, finish| {
            let prompt = text.prompt;
            answers[prompt] = Some(text.end(finish).0);
        })?;
        let never = || Generation { ids: Vec::new(), finish: Finish::Stopped };
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(never)).collect())
    }

    /// Continues one prompt behind what was `read` of an earlier one, and keeps there what it reads. The answer is that of
    /// [`Generator::run`] to the prompt at this place of a list. After an error nothing is kept.
    ///
    /// # Errors
    /// Those of [`Generator::run`].
    pub fn go_on(
        &self,
        (place, prompt): (usize, &[u32]),
        read: &mut ReadText,
        watch: &mut dyn FnMut(&NewToken) -> ControlFlow<()>,
    ) -> Result<Generation, TrainError> {
        self.check(place, prompt)?;
        let begin = &mut |place| self.begin(place, prompt, read.take(self.model, prompt));
        let mut ended = None;
        self.texts(place..place + 1, begin, 1, watch, &mut |text, finish| ended = Some(text.end(finish)))?;
        let (answer, ids, cache) = ended.unwrap_or((
            Generation { ids: Vec::new(), finish: Finish::Stopped },
            Vec::new(),
            KeyValueCache::default(),
        ));
        read.keep(ids, cache);
        Ok(answer)
    }

    /// Continues texts, so many at a time, each begun when there is room for it; `ended` is told of each.
    fn texts(
        &self,
        mut waiting: Range<usize>,
        begin: &mut dyn FnMut(usize) -> Result<Text<'a>, TrainError>,
        batch_size: usize,
        watch: &mut dyn FnMut(&NewToken) -> ControlFlow<()>,
        ended: &mut dyn FnMut(Text<'a>, Finish),
    ) -> Result<(), TrainError> {
        let mut texts: Vec<Text<'a>> = Vec::new();
        loop {
            for prompt in waiting.by_ref().take(batch_size.max(1) - texts.len()) {
                texts.push(begin(prompt)?);
            }
            if texts.is_empty() {
                break;
            }
            let mut stopped = false;
            let logits = self.read(&mut texts)?;
            let mut left = Vec::with_capacity(texts.len());
            for (mut text, mut logits) in texts.into_iter().zip(logits) {
                let new = text.ids.len() - text.length;
                let id = draw::next(self.spec, text.prompt, &text.ids, new, &mut logits)
                    .ok_or_else(|| not_numbers(text.prompt, new))?;
                text.ids.push(id);
                let finish = self.finish(&mut text, id)?;
                let token = NewToken { prompt: text.prompt, id, finish: finish.clone() };
                stopped |= watch(&token).is_break();
                match finish {
                    Some(finish) => ended(text, finish),
                    None => left.push(text),
                }
            }
            texts = left;
            if stopped {
                break;
            }
        }
        texts.into_iter().for_each(|text| ended(text, Finish::Stopped));
        Ok(())
    }

    fn check(&self, place: usize, prompt: &[u32]) -> Result<(), TrainError> {
        let refuse = |problem: String, help: &str| {
            Err(TrainError::Data { problem: format!("prompt {}: {problem}", place + 1), help: Some(help.into()) })
        };
        let (positions, vocabulary) = (self.positions(), self.model.config().shape.vocab_size);
        if prompt.is_empty() {
            return refuse("it has no token".into(), "begin it with a text, or with the model's start token");
        }
        if prompt.len() > positions {
            let problem = format!("its {} tokens are more than the model's {positions} positions", prompt.len());
            return refuse(problem, "shorten it, or use a model with more positions (max_position_embeddings)");
        }
        if let Some(id) = prompt.iter().find(|id| **id as usize >= vocabulary) {
            let problem = format!("there is no token {id}: the model's vocabulary has {vocabulary} tokens");
            return refuse(problem, "model and tokenizer must come from the same checkpoint");
        }
        Ok(())
    }

    fn positions(&self) -> usize {
        self.model.config().shape.longest_row()
    }

    fn begin(&self, prompt: usize, ids: &[u32], cache: KeyValueCache) -> Result<Text<'a>, TrainError> {
        let stops = match self.tokenizer.filter(|_| !self.spec.stop_strings.is_empty()) {
            Some(tokenizer) => Some(StopStrings::new(&self.spec.stop_strings, tokenizer, ids).map_err(undecodable)?),
            None => None,
        };
        Ok(Text { prompt, length: ids.len(), ids: ids.to_vec(), cache, stops })
    }

    /// The logits behind each text, whose tokens are read as far as its cache does not hold them.
    fn read(&self, texts: &mut [Text<'_>]) -> Result<Vec<Vec<f32>>, TrainError> {
        for text in texts.iter_mut() {
            if !self.spec.use_cache || !self.model.keeps(&text.cache, text.ids.len()) {
                text.cache.clear();
            }
        }
        // Texts that begin are read by themselves: all of their tokens attend to one another.
        let fresh: Vec<bool> = texts.iter().map(|text| text.cache.is_empty()).collect();
        let mut all: Vec<Vec<f32>> = vec![Vec::new(); texts.len()];
        for begin in [true, false] {
            let places: Vec<usize> = (0..texts.len()).filter(|place| fresh[*place] == begin).collect();
            if places.is_empty() {
                continue;
            }
            let mut pieces: Vec<(&[u32], &mut KeyValueCache)> = texts
                .iter_mut()
                .zip(&fresh)
                .filter(|(_, fresh)| **fresh == begin)
                .map(|(text, _)| {
                    let read = text.cache.tokens();
                    (&text.ids[read..], &mut text.cache)
                })
                .collect();
            let logits = self.model.extend(&self.weights, &mut pieces)?;
            let vocabulary = logits.shape()[1];
            let logits = logits.to_float32().map_err(TrainError::tensor("reading the logits"))?;
            for (place, logits) in places.iter().zip(logits.chunks_exact(vocabulary)) {
                all[*place] = logits.to_vec();
            }
        }
        Ok(all)
    }

    /// Why the text ends with its last token `id`, when it does.
    fn finish(&self, text: &mut Text<'_>, id: u32) -> Result<Option<Finish>, TrainError> {
        let stop = match &mut text.stops {
            Some(stops) => stops.push(id).map_err(undecodable)?,
            None => None,
        };
        Ok(if self.spec.eos_token_id.contains(&id) {
            Some(Finish::EndToken)
        } else if let Some(stop) = stop {
            Some(Finish::StopString(stop))
        } else if text.ids.len() - text.length >= self.spec.max_new_tokens {
            Some(Finish::Length)
        } else if text.ids.len() > self.positions() {
            Some(Finish::Positions)
        } else {
            None
        })
    }
}

impl Text<'_> {
    /// What follows the prompt, all of the text, and what is kept of it.
    fn end(self, finish: Finish) -> (Generation, Vec<u32>, KeyValueCache) {
        (Generation { ids: self.ids[self.length..].to_vec(), finish }, self.ids, self.cache)
    }
}

fn not_numbers(prompt: usize, new: usize) -> TrainError {
    TrainError::Data {
        problem: format!("prompt {}: the logits of token {} are not numbers", prompt + 1, new + 1),
        help: Some(
            "the model's weights hold NaN or are too large: look at the losses of its training, or fetch it again"
                .into(),
        ),
    }
}

fn undecodable(refusal: Refusal) -> TrainError {
    TrainError::Data { problem: format!("the answer cannot be decoded: {refusal}"), help: None }
}
