//! How long answers are beside what they should be: a model that rambles, or says nothing, shows here first.
//!
//! Fed by both: words are counted in generated texts, learnt tokens in the labels of the whole evaluation set. So it
//! says something also where nothing is generated.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

use retune_sdk::{Batch, Dtype, IGNORE_INDEX, Input, Metric, Result, TextExample, TextMetric, ValueSpec};
use serde::{Deserialize, Serialize};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    answers: u64,
    /// Answers without a word.
    empty: u64,
    answer_words: u64,
    reference_words: u64,
    rows: u64,
    tokens: u64,
}

/// Counts words and tokens.
pub struct AnswerLength;

impl Metric for AnswerLength {
    type Config = ();
    type State = Seen;

    fn new(_: (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self) -> Vec<ValueSpec> {
        vec![
            ValueSpec::lower("answer_words"),
            ValueSpec::lower("length_ratio"),
            ValueSpec::lower("empty_answers"),
            ValueSpec::lower("learnt_tokens"),
        ]
    }

    fn wants(&self) -> Vec<Input> {
        vec![Input::required("labels")]
    }

    fn update(&self, state: &mut Seen, batch: &Batch) -> Result<()> {
        let labels = batch.require("labels")?;
        let tokens = labels.eq_scalar(IGNORE_INDEX as f64).logical_not().cast(Dtype::Float32).sum(&[], false);
        state.rows += u64::from(labels.shape().first().copied().unwrap_or(0));
        state.tokens += tokens.item()? as u64;
        Ok(())
    }

    fn merge(&self, state: &mut Seen, other: Seen) -> Result<()> {
        state.answers += other.answers;
        state.empty += other.empty;
        state.answer_words += other.answer_words;
        state.reference_words += other.reference_words;
        state.rows += other.rows;
        state.tokens += other.tokens;
        Ok(())
    }

    /// Of nothing, each is 0 / 0: undefined.
    fn compute(&self, state: &Seen) -> Result<Vec<(String, f64)>> {
        let answers = state.answers as f64;
        Ok(vec![
            ("answer_words".into(), state.answer_words as f64 / answers),
            ("length_ratio".into(), state.answer_words as f64 / state.reference_words as f64),
            ("empty_answers".into(), state.empty as f64 / answers),
            ("learnt_tokens".into(), state.tokens as f64 / state.rows as f64),
        ])
    }
}

impl TextMetric for AnswerLength {
    fn update_texts(&self, state: &mut Seen, texts: &[TextExample]) -> Result<()> {
        let words = |text: &str| text.split_whitespace().count() as u64;
        for text in texts {
            let answer = words(&text.prediction);
            state.answers += 1;
            state.empty += u64::from(answer == 0);
            state.answer_words += answer;
            state.reference_words += text.references.first().map_or(0, |reference| words(reference));
        }
        Ok(())
    }
}

retune_sdk::export!(metric: AnswerLength, texts: AnswerLength);

#[cfg(test)]
mod tests {
    use retune_sdk::testing::{batch, check_metric_laws, check_text_metric_laws, read_texts, text};

    use super::*;

    #[test]
    fn words_are_counted_in_answers_and_tokens_in_labels() {
        let mut seen = read_texts(&AnswerLength, &[text("a b c", &["a b"]), text(" ", &["c d e f"])]).unwrap();
        AnswerLength.update(&mut seen, &batch().ints("labels", &[2, 2], &[5, -100, 0, 7]).build()).unwrap();
        let values: Vec<f64> = AnswerLength.compute(&seen).unwrap().into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [1.5, 0.5, 0.5, 1.5]);
    }

    #[test]
    fn it_keeps_the_laws_of_a_metric_either_way() {
        let texts = [[text("a", &["b c"])], [text("", &["d"])], [text("x y", &["x"])]];
        check_text_metric_laws(&AnswerLength, [&texts[0], &texts[1], &texts[2]]).unwrap();
        let rows = [1, -100, 3].map(|label| [batch().ints("labels", &[1, 1], &[label]).build()]);
        check_metric_laws(&AnswerLength, [&rows[0], &rows[1], &rows[2]]).unwrap();
    }
}
