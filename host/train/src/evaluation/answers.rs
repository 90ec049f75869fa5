//! What a model writes for rows of an evaluation set, for metrics that read it.
//!
//! A row is asked up to the last stretch of it that is learnt: of a conversation that is everything up to the assistant's last
//! turn, with the beginning of that turn as the template writes it; of prompt and completion, the prompt. What is learnt there is the
//! reference. Both are decoded from the row's tokens, so rows keep no text. Which rows are asked is drawn by the seed, and
//! is the same at every evaluation.
//!
//! Rows are asked [`AT_ONCE`] at a time, and nothing is kept of them but a few examples: memory does not grow with their
//! number. Price: 8 bytes a row of the set for the choice.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use retune_roles::{Example, Metric, Refusal, Rows, TextExample, Tokenizer, text::shortened};

use crate::{
    error::TrainError,
    event::{Answer, Observer, TrainEvent},
    model::Model,
    seeds::{Purpose, seed_of},
};

/// Rows that are asked together. Not the batch size, on which what is drawn must not depend.
const AT_ONCE: usize = 64;

/// Answers that an evaluation keeps to be looked at.
const SHOWN: usize = 8;

/// Characters that are kept of a text that is shown.
const SHOWN_CHARACTERS: usize = 2_000;

/// Who continues prompts.
pub trait Writer {
    /// What follows each of `prompts`, which are the rows from number `first` on of those that are asked. Texts end behind one of
    /// the tokens `ends`, which may be among what is given back. `written` is called when a text has ended, and stops all
    /// others.
    ///
    /// # Errors
    /// When the model cannot continue them.
    fn write(
        &self,
        model: &Model,
        prompts: &[Vec<u32>],
        first: usize,
        ends: &[u32],
        written: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u32>>, TrainError>;
}

/// How rows are asked.
#[derive(Clone)]
pub struct Asking {
    /// Who answers.
    pub writer: Arc<dyn Writer>,
    /// Tokens to text.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// How many rows are asked at most, 1 at least.
    pub rows: usize,
    /// Draws them.
    pub seed: u64,
    /// Texts that end an answer, of which what is compared ends before the first one.
    pub stop_strings: Vec<String>,
}

impl Asking {
    /// The rows that are asked of a set of so many, ascending.
    pub fn chosen(&self, rows: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rows).collect();
        if self.rows < rows {
            order.sort_by_cached_key(|row| seed_of(self.seed, Purpose::Asked, *row as u64, 0));
            order.truncate(self.rows);
            order.sort_unstable();
        }
        order
    }

    /// Refuses rows of `rows` that cannot be asked.
    pub(crate) fn check(&self, rows: &dyn Rows) -> Result<(), TrainError> {
        self.chosen(rows.len()).into_iter().try_for_each(|row| split(&rows.get(row)).map(drop))
    }

    /// Special tokens that end references: those of a chat template may not be among the model's own end tokens.
    fn ends(&self, rows: &dyn Rows, chosen: &[usize]) -> Result<Vec<u32>, TrainError> {
        let mut known = BTreeMap::new();
        for row in chosen {
            let row = rows.get(*row);
            let (_, reference) = split(&row)?;
            if let Some(last) = reference.last()
                && !known.contains_key(last)
            {
                let text = self.decoded(&[vec![*last]], true)?;
                known.insert(*last, text.iter().all(String::is_empty));
            }
        }
        Ok(known.into_iter().filter(|(_, special)| *special).map(|(id, _)| id).collect())
    }

    fn decoded(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>, TrainError> {
        self.tokenizer.decode(ids, skip_special).map_err(undecodable)
    }

    fn example(&self, row: &Example, answer: &[u32], columns: &[String]) -> Result<TextExample, TrainError> {
        let (prompt, reference) = split(row)?;
        let told = self.decoded(&[answer.to_vec(), reference.to_vec()], true)?;
        let [prediction, reference] = [0, 1].map(|at| told.get(at).map_or("", String::as_str));
        let prediction = before(prediction, &self.stop_strings).trim().to_owned();
        let reference = reference.trim().to_owned();
        let extra: BTreeMap<&str, f32> = columns.iter().map(String::as_str).zip(row.extra.iter().copied()).collect();
        Ok(TextExample {
            key: row.key.clone(),
            prompt: self.decoded(&[prompt.to_vec()], false)?.pop().unwrap_or_default(),
            prediction,
            references: vec![reference],
            extra: serde_json::to_string(&extra).unwrap_or_else(|_| "{}".into()),
        })
    }
}

/// Has `model` answer rows and feeds those of `metrics` that read texts; gives a few answers to be looked at.
pub(crate) fn ask(
    model: &Model,
    rows: &dyn Rows,
    metrics: &mut [Box<dyn Metric>],
    asking: &Asking,
    columns: &[String],
    step: u64,
    observer: &mut dyn Observer,
) -> Result<Vec<Answer>, TrainError> {
    let chosen = asking.chosen(rows.len());
    let ends = asking.ends(rows, &chosen)?;
    let (mut done, mut shown) = (0, Vec::new());
    for part in chosen.chunks(AT_ONCE) {
        let read: Vec<Example> = part.iter().map(|row| rows.get(*row).into_owned()).collect();
        let prompts = read.iter().map(|row| Ok(split(row)?.0.to_vec())).collect::<Result<Vec<_>, TrainError>>()?;
        let (first, mut stopped) = (done, false);
        let mut written = || {
            done += 1;
            let progress = TrainEvent::Progress { stage: "generate".into(), done, total: chosen.len() };
            stopped |= observer.interrupted() || observer.event(&progress).is_break();
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answers = asking.writer.write(model, &prompts, first, &ends, &mut written).map_err(|e| among(e, &read))?;
        if stopped {
            return Err(TrainError::Stopped { step });
        }
        for (row, answer) in read.iter().zip(&answers) {
            let example = [asking.example(row, answer, columns)?];
            for metric in metrics.iter_mut().filter(|metric| metric.reads().texts) {
                let place = || format!("the answer to {}", row.key);
                metric.update_texts(&example).map_err(|failure| failure.at(place()))?;
            }
            let [example] = example;
            if shown.len() < SHOWN {
                shown.push(to_look_at(example));
            }
        }
    }
    Ok(shown)
}

/// What a row is asked, and what would be right.
fn split(row: &Example) -> Result<(&[u32], &[u32]), TrainError> {
    let last = match row.sequences.as_slice() {
        [sequence] => {
            let within = |at: u32| (at as usize).min(sequence.len());
            sequence.learnt.last().map(|range| (sequence, within(range.start)..within(range.end)))
        }
        _ => None,
    };
    let asked = last.and_then(|(sequence, range)| {
        let (prompt, reference) = (sequence.ids.get(..range.start)?, sequence.ids.get(range)?);
        (!prompt.is_empty() && !reference.is_empty()).then_some((prompt, reference))
    });
    asked.ok_or_else(|| TrainError::Data {
        problem: format!("row {} asks nothing: no token stands before what is learnt of it", row.key),
        help: Some(
            "answers are generated for conversations, and for prompt and completion; leave evaluation.generate and metrics \
             of texts out for others"
                .into(),
        ),
    })
}

/// `text` up to where the first of `stops` begins.
fn before<'a>(text: &'a str, stops: &[String]) -> &'a str {
    let end = stops.iter().filter_map(|stop| text.find(stop.as_str())).min();
    &text[..end.unwrap_or(text.len())]
}

/// Names the rows in an error that names prompts by their number.
fn among(error: TrainError, rows: &[Example]) -> TrainError {
    match (error, rows.first(), rows.last()) {
        (TrainError::Data { problem, help }, Some(first), Some(last)) => {
            let problem = format!("answering the rows {} to {}: {problem}", first.key, last.key);
            TrainError::Data { problem, help }
        }
        (error, ..) => error,
    }
}

fn undecodable(refusal: Refusal) -> TrainError {
    TrainError::Data { problem: format!("tokens cannot be turned into text: {refusal}"), help: None }
}

fn to_look_at(example: TextExample) -> Answer {
    let cut = |text: &str| match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    };
    let skipped = example.prompt.chars().count().saturating_sub(SHOWN_CHARACTERS);
    let prompt = match skipped {
        0 => example.prompt,
        _ => format!("…{}", example.prompt.chars().skip(skipped).collect::<String>()),
    };
    Answer {
        key: shortened(&example.key, 200),
        prompt,
        prediction: cut(&example.prediction),
        reference: cut(example.references.first().map_or("", String::as_str)),
    }
}

/// Refuses a metric that reads nothing but texts where nothing is generated.
pub(crate) fn refuse_unfed(metrics: &[Box<dyn Metric>], asking: Option<&Asking>) -> Result<(), TrainError> {
    let unfed = metrics.iter().find(|metric| !metric.reads().tensors && asking.is_none());
    unfed.map_or(Ok(()), |metric| {
        Err(TrainError::Field {
            field: "evaluation.metrics".into(),
            problem: format!(
                "metric {} reads what the model writes, and this evaluation generates nothing",
                metric.name()
            ),
            help: Some(
                "write generate = { max_new_tokens = 256, rows = 100 } in [evaluation], or leave the metric out".into(),
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]
    use retune_roles::{Sequence, Target};

    use super::*;

    fn row(ids: &[u32], learnt: Vec<std::ops::Range<u32>>) -> Example {
        Example::new("a:1", Sequence { ids: ids.to_vec(), segments: Vec::new(), learnt }, Target::None)
    }

    #[test]
    fn an_answer_ends_before_the_first_text_that_stops_it() {
        let stops = ["User:".to_owned(), "\n\n".to_owned()];
        assert_eq!(before("Yes.\n\nUser: and", &stops), "Yes.");
        assert_eq!(before("User: ü\n\n", &stops), "");
        assert_eq!(before("Grüße\n", &stops), "Grüße\n");
        assert_eq!(before("a\n\n", &[]), "a\n\n");
    }

    #[test]
    fn a_row_is_asked_up_to_the_last_stretch_that_is_learnt() {
        assert_eq!(split(&row(&[1, 2, 3, 4], vec![1..2, 3..4])).unwrap(), (&[1, 2, 3][..], &[4][..]));
        assert_eq!(
            split(&row(&[1, 2, 3, 4], vec![2..3])).unwrap(),
            (&[1, 2][..], &[3][..]),
            "what follows is not asked"
        );
        for nothing in [row(&[1, 2], vec![0..2]), row(&[1, 2], vec![]), row(&[1, 2], vec![2..2])] {
            let error = split(&nothing).unwrap_err();
            assert_eq!(error.to_string(), "row a:1 asks nothing: no token stands before what is learnt of it");
            assert!(error.help().unwrap().contains("prompt and completion"));
        }
    }
}
