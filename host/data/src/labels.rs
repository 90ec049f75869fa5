//! The label set of a classification, and the place of a label in it.
//!
//! Given in the recipe, or found in the training rows as the preprocessors leave them, and sorted: by number when every label
//! is a whole number, by code point otherwise. The order is the order of the class indices,
//! so it decides which row of the head learns what. With names given of which none is a
//! number, a whole number stands for the index (Hugging Face's `ClassLabel`).

use std::collections::{BTreeSet, HashMap};

use crate::rows_file::FoundLabel;
use crate::{DataError, Result};

/// The labels, in the order of the class indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    names: Vec<String>,
    index: HashMap<String, u32>,
    origin: Option<String>,
}

impl LabelSet {
    /// The labels of `data.labels`.
    ///
    /// # Errors
    /// Fewer than two, or one of them twice.
    pub fn given(names: &[String]) -> Result<Self> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(DataError::LabelTwice { label: twice.clone() });
        }
        Self::build(names.to_vec(), None)
    }

    /// The labels found in a file.
    ///
    /// # Errors
    /// Fewer than two.
    pub(crate) fn found(labels: &[FoundLabel], file: &str) -> Result<Self> {
        let mut names: Vec<String> = labels.iter().map(|label| label.name.clone()).collect();
        names.sort_unstable();
        if let Ok(mut numbers) =
            names.iter().map(|name| name.parse::<i64>()).collect::<std::result::Result<Vec<_>, _>>()
            && numbers.iter().zip(&names).all(|(number, name)| number.to_string() == *name)
        {
            numbers.sort_unstable();
            names = numbers.iter().map(i64::to_string).collect();
        }
        Self::build(names, Some(file.to_owned()))
    }

    /// The labels of a trained model, in its order. `named` says that a recipe gave them: then an index may stand
    /// for a name, as it could in training.
    ///
    /// # Errors
    /// Fewer than two, or one of them twice.
    pub fn of_model(names: &[String], named: bool) -> Result<Self> {
        let mut set = Self::given(names)?;
        set.origin = (!named).then(|| "the model".to_owned());
        Ok(set)
    }

    fn build(names: Vec<String>, origin: Option<String>) -> Result<Self> {
        if names.len() < 2 {
            let origin = origin.unwrap_or_else(|| "data.labels".to_owned());
            return Err(DataError::TooFewLabels { origin, labels: names });
        }
        let index = names.iter().enumerate().map(|(i, name)| (name.clone(), i as u32)).collect();
        Ok(Self { names, index, origin })
    }

    /// The labels, in the order of the class indices.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether a whole number stands for the index of a name.
    pub fn takes_indices(&self) -> bool {
        self.origin.is_none() && !self.names.iter().any(|name| name.parse::<i64>().is_ok())
    }

    /// The class of every label of a file.
    ///
    /// # Errors
    /// The first of them that is not in the set, with its row.
    pub(crate) fn classes(&self, labels: &[FoundLabel]) -> Result<Vec<u32>> {
        labels.iter().map(|label| self.class(&label.name, &label.first)).collect()
    }

    /// The class of the label of the row `place`.
    fn class(&self, label: &str, place: &str) -> Result<u32> {
        if let Some(&class) = self.index.get(label) {
            return Ok(class);
        }
        if self.takes_indices()
            && let Ok(class) = label.parse::<u32>()
            && (class as usize) < self.names.len()
        {
            return Ok(class);
        }
        let nearest = retune_roles::nearest::nearest(label, self.names.iter().map(String::as_str)).map(str::to_owned);
        let origin = match &self.origin {
            None => "in data.labels".to_owned(),
            Some(origin) => format!("among the labels of {origin}"),
        };
        Err(DataError::LabelUnknown {
            place: place.to_owned(),
            label: label.to_owned(),
            origin,
            nearest,
            labels: self.names.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "test.csv:9";

    fn found(labels: &[&str]) -> LabelSet {
        let labels: Vec<FoundLabel> =
            labels.iter().map(|&name| FoundLabel { name: name.to_owned(), first: ROW.to_owned() }).collect();
        LabelSet::found(&labels, "train.csv").unwrap()
    }

    #[test]
    fn numbers_are_sorted_as_numbers_and_words_as_words() {
        assert_eq!(found(&["10", "9", "1"]).names(), ["1", "9", "10"]);
        assert_eq!(found(&["10", "9", "one"]).names(), ["10", "9", "one"]);
        assert_eq!(
            found(&["01", "1", "2"]).names(),
            ["01", "1", "2"],
            "01 is a word: it would not survive as a number"
        );
    }

    #[test]
    fn an_index_stands_for_a_given_name_but_never_for_a_found_one() {
        let given = LabelSet::given(&["spam".to_owned(), "ham".to_owned()]).unwrap();
        assert_eq!(given.class("1", ROW).unwrap(), 1);
        assert!(given.class("2", ROW).is_err());
        assert!(found(&["spam", "ham"]).class("1", ROW).is_err());
        let of_model = |named| LabelSet::of_model(&["spam".to_owned(), "ham".to_owned()], named).unwrap();
        assert_eq!(of_model(true).class("1", ROW).unwrap(), 1);
        assert!(of_model(false).class("1", ROW).is_err(), "training refused this row too");
        let numbers = LabelSet::given(&["5".to_owned(), "0".to_owned()]).unwrap();
        assert_eq!(numbers.class("0", ROW).unwrap(), 1, "a number that is a name");
        assert!(numbers.class("1", ROW).is_err(), "where names are numbers, no number is an index");
    }

    #[test]
    fn an_unknown_label_names_its_line_and_the_nearest_label() {
        let error = found(&["card_arrival", "card_linking"]).class("card_arival", ROW).unwrap_err();
        insta::assert_snapshot!(error, @"test.csv:9 has the label `card_arival`, which is not among the labels of train.csv; did you mean `card_arrival`?");
    }
}
