//! What a classifier says about rows, or about their words, that nobody has labelled.

use std::borrow::Cow;

use retune_roles::{Example, Rows, Target, Task, TaskKind};

use crate::{
    error::TrainError,
    evaluation::evaluate::{largest, longest_first},
    model::Model,
};

/// The answer for one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The row's key.
    pub key: String,
    /// Index of the most probable class.
    pub label: usize,
    /// One per class; they sum to one.
    pub probabilities: Vec<f64>,
}

/// Predicts the class of every row, one batch at a time, in batches of rows of about one length. The
/// answers are in the order of the rows.
///
/// # Errors
/// When the model is not a classifier, or a row does not fit it.
pub fn predict(model: &Model, rows: &dyn Rows, batch_size: usize) -> Result<Vec<Prediction>, TrainError> {
    let Task::SequenceClassification { .. } = model.task() else {
        return Err(other_task(TaskKind::SequenceClassification, model));
    };
    in_batches(model, rows, batch_size, |example, logits| Prediction {
        key: example.key.clone(),
        label: largest(logits),
        probabilities: softmax(logits),
    })
}

/// The answer for the words of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagging {
    /// The row's key.
    pub key: String,
    /// In their order; a word that was cut off has none.
    pub words: Vec<TaggedWord>,
}

/// The answer for one word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaggedWord {
    /// Its number in the row.
    pub word: usize,
    /// Index of the most probable tag.
    pub label: usize,
    /// How probable it is.
    pub probability: f64,
}

/// Predicts the tag of every word, at its first token; rows say by [`Target::Labels`] which word begins with a token. The answers
/// are in the order of the rows.
///
/// # Errors
/// When the model does not label words, or a row does not fit it.
pub fn predict_tags(model: &Model, rows: &dyn Rows, batch_size: usize) -> Result<Vec<Tagging>, TrainError> {
    let Task::TokenClassification { labels } = model.task() else {
        return Err(other_task(TaskKind::TokenClassification, model));
    };
    in_batches(model, rows, batch_size, |example, logits| {
        let begins: &[i32] = if let Target::Labels(words) = &example.target { words } else { &[] };
        let each = begins.iter().zip(logits.chunks_exact(labels.len()));
        let words = each.filter_map(|(word, logits)| {
            let (word, label) = (usize::try_from(*word).ok()?, largest(logits));
            Some(TaggedWord { word, label, probability: softmax(logits)[label] })
        });
        Tagging { key: example.key.clone(), words: words.collect() }
    })
}

/// The answer for one row of several questions.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The row's key.
    pub key: String,
    /// One for each label, the probability that it holds; or one for each number, the number.
    pub values: Vec<f64>,
}

/// Predicts how probable each label of every row is, or its numbers. The answers are in the order of the rows.
///
/// # Errors
/// When the model was made for another task, or a row does not fit it.
pub fn predict_scores(model: &Model, rows: &dyn Rows, batch_size: usize) -> Result<Vec<Scores>, TrainError> {
    let probable = match model.task() {
        Task::MultiLabelClassification { .. } => true,
        Task::Regression { .. } => false,
        _ => return Err(other_task(TaskKind::MultiLabelClassification, model)),
    };
    let value = |logit: &f32| if probable { 1.0 / (1.0 + (-f64::from(*logit)).exp()) } else { f64::from(*logit) };
    in_batches(model, rows, batch_size, |example, logits| Scores {
        key: example.key.clone(),
        values: logits.iter().map(value).collect(),
    })
}

/// What `answer` makes of each row and its logits, in the order of the rows; they are read in batches of about one length.
fn in_batches<A>(
    model: &Model,
    rows: &dyn Rows,
    batch_size: usize,
    answer: impl Fn(&Example, &[f32]) -> A,
) -> Result<Vec<A>, TrainError> {
    let weights = model.weights(false);
    let mut answers: Vec<(usize, A)> = Vec::with_capacity(rows.len());
    for chunk in longest_first(rows).chunks(batch_size.max(1)) {
        let read: Vec<Cow<'_, Example>> = chunk.iter().map(|&row| rows.get(row)).collect();
        let examples: Vec<&Example> = read.iter().map(Cow::as_ref).collect();
        let input = model.input(&examples)?;
        let logits = model.forward(&weights, &input, None)?.logits;
        let logits = logits.to_float32().map_err(TrainError::tensor("reading the logits"))?;
        let of_rows = logits.chunks_exact(logits.len() / chunk.len());
        let each = chunk.iter().zip(&examples).zip(of_rows);
        answers.extend(each.map(|((&row, example), logits)| (row, answer(example, logits))));
    }
    answers.sort_unstable_by_key(|(row, _)| *row);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

fn other_task(wanted: TaskKind, model: &Model) -> TrainError {
    TrainError::Data {
        problem: format!("this model was made for {}, and {wanted} is asked of it", model.task().kind()),
        help: Some(format!("use a model trained with task = \"{wanted}\"")),
    }
}

/// In float64, shifted by the largest logit.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits[largest(logits)];
    let exponentials: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - top).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_even_for_huge_logits() {
        let probabilities = softmax(&[1e30, 1e30, -1e30]);
        assert_eq!(probabilities, [0.5, 0.5, 0.0]);
    }
}
