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
    let Task::SequenceClassification { labels } = model.task() else {
        return Err(other_task(TaskKind::SequenceClassification, model));
    };
    let weights = model.weights(false);
    let mut predictions: Vec<(usize, Prediction)> = Vec::with_capacity(rows.len());
    for chunk in longest_first(rows).chunks(batch_size.max(1)) {
        let read: Vec<Cow<'_, Example>> = chunk.iter().map(|&row| rows.get(row)).collect();
        let examples: Vec<&Example> = read.iter().map(Cow::as_ref).collect();
        let input = model.input(&examples)?;
        let logits = model.forward(&weights, &input, None)?.logits;
        let logits = logits.to_float32().map_err(TrainError::tensor("reading the logits"))?;
        for ((&row, example), logits) in chunk.iter().zip(&examples).zip(logits.chunks_exact(labels.len())) {
            let (key, label) = (example.key.clone(), largest(logits));
            predictions.push((row, Prediction { key, label, probabilities: softmax(logits) }));
        }
    }
    predictions.sort_unstable_by_key(|(row, _)| *row);
    Ok(predictions.into_iter().map(|(_, prediction)| prediction).collect())
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
    let weights = model.weights(false);
    let mut taggings: Vec<(usize, Tagging)> = Vec::with_capacity(rows.len());
    for chunk in longest_first(rows).chunks(batch_size.max(1)) {
        let read: Vec<Cow<'_, Example>> = chunk.iter().map(|&row| rows.get(row)).collect();
        let examples: Vec<&Example> = read.iter().map(Cow::as_ref).collect();
        let input = model.input(&examples)?;
        let logits = model.forward(&weights, &input, None)?.logits;
        let logits = logits.to_float32().map_err(TrainError::tensor("reading the logits"))?;
        let of_rows = logits.chunks_exact(input.seq_len() * labels.len());
        for ((&row, example), logits) in chunk.iter().zip(&examples).zip(of_rows) {
            let begins: &[i32] = if let Target::Labels(words) = &example.target { words } else { &[] };
            let each = begins.iter().zip(logits.chunks_exact(labels.len()));
            let words = each.filter_map(|(word, logits)| {
                let (word, label) = (usize::try_from(*word).ok()?, largest(logits));
                Some(TaggedWord { word, label, probability: softmax(logits)[label] })
            });
            taggings.push((row, Tagging { key: example.key.clone(), words: words.collect() }));
        }
    }
    taggings.sort_unstable_by_key(|(row, _)| *row);
    Ok(taggings.into_iter().map(|(_, tagging)| tagging).collect())
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
    let (outputs, probable) = match model.task() {
        Task::MultiLabelClassification { labels } => (labels.len(), true),
        Task::Regression { outputs } => (outputs.len(), false),
        _ => return Err(other_task(TaskKind::MultiLabelClassification, model)),
    };
    let value = |logit: &f32| if probable { 1.0 / (1.0 + (-f64::from(*logit)).exp()) } else { f64::from(*logit) };
    let weights = model.weights(false);
    let mut scores: Vec<(usize, Scores)> = Vec::with_capacity(rows.len());
    for chunk in longest_first(rows).chunks(batch_size.max(1)) {
        let read: Vec<Cow<'_, Example>> = chunk.iter().map(|&row| rows.get(row)).collect();
        let examples: Vec<&Example> = read.iter().map(Cow::as_ref).collect();
        let input = model.input(&examples)?;
        let logits = model.forward(&weights, &input, None)?.logits;
        let logits = logits.to_float32().map_err(TrainError::tensor("reading the logits"))?;
        for ((&row, example), logits) in chunk.iter().zip(&examples).zip(logits.chunks_exact(outputs)) {
            scores.push((row, Scores { key: example.key.clone(), values: logits.iter().map(value).collect() }));
        }
    }
    scores.sort_unstable_by_key(|(row, _)| *row);
    Ok(scores.into_iter().map(|(_, scores)| scores).collect())
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
