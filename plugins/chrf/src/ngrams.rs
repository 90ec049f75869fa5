//! Runs of characters and words, counted.

use std::collections::HashMap;
use std::hash::Hash;

use crate::Counts;

const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// The characters and words of a text, and which orders are counted.
pub(crate) struct Ngrams {
    characters: Vec<char>,
    words: Vec<String>,
    char_order: usize,
    word_order: usize,
}

impl Ngrams {
    pub fn of(text: &str, char_order: usize, word_order: usize, whitespace: bool) -> Self {
        let characters = text.chars().filter(|c| whitespace || !is_space(*c)).collect();
        let words = if word_order > 0 { words(text) } else { Vec::new() };
        Self { characters, words, char_order, word_order }
    }

    /// Of each order, those of this answer, those of `reference`, and those in both.
    pub fn compared(&self, reference: &Self) -> Vec<Counts> {
        let characters = (1..=self.char_order).map(|n| compared(&self.characters, &reference.characters, n));
        let words = (1..=self.word_order).map(|n| compared(&self.words, &reference.words, n));
        characters.chain(words).collect()
    }
}

fn compared<T: Eq + Hash>(answer: &[T], reference: &[T], n: usize) -> Counts {
    let (answer, reference) = (counted(answer, n), counted(reference, n));
    let shared = answer.iter().map(|(ngram, count)| reference.get(ngram).map_or(0, |other| *count.min(other))).sum();
    Counts {
        // An answer is not blamed for n-grams of an order that its reference is too short for.
        answer: if reference.is_empty() { 0 } else { answer.values().sum() },
        reference: reference.values().sum(),
        shared,
    }
}

fn counted<T: Eq + Hash>(items: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for ngram in items.windows(n) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

/// White space as Python has it: four control characters more than Unicode.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Words, a punctuation mark at their end (else at their beginning) being one of its own.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        let long = word.chars().nth(1).is_some();
        // Marks are one byte.
        if long && word.ends_with(|c| PUNCTUATION.contains(c)) {
            let (rest, mark) = word.split_at(word.len() - 1);
            words.extend([rest.to_owned(), mark.to_owned()]);
        } else if long && word.starts_with(|c| PUNCTUATION.contains(c)) {
            let (mark, rest) = word.split_at(1);
            words.extend([mark.to_owned(), rest.to_owned()]);
        } else {
            words.push(word.to_owned());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_parts_from_a_word() {
        assert_eq!(words("(hi) é. \"so ... !\u{1c}x"), ["(hi", ")", "é", ".", "\"", "so", "..", ".", "!", "x"]);
    }
}
