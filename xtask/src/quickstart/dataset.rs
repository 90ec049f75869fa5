//! Puts grammar and noise together into the three files of the quickstart.
//!
//! Invariants: no message stands in both the training and the test set; a fifth of the test set comes from patterns that
//! the training set does not have; every intent has the same number of requests. The same seed gives the same bytes.

use std::collections::HashSet;

use super::grammar::sentence;
use super::intents::{CLOSINGS, HELD_OUT, INTENTS, Intent, OPENINGS};
use super::noise;
use super::random::Random;

/// Labelled requests of each intent for training, before duplicates and empty rows are mixed in.
const TRAIN_ROWS: usize = 110;
const TEST_ROWS: usize = 40;
/// Unlabelled request-and-answer pairs for pre-training.
const CORPUS_ROWS: usize = 12_000;

/// The contents of the files.
pub struct Dataset {
    /// CSV with the columns `text` and `label`, as a help desk would export it.
    pub train: String,
    /// The same, without junk rows.
    pub test: String,
    /// JSON lines with the column `text`.
    pub corpus: String,
}

/// All three files of this seed.
pub fn generate(seed: u64) -> Dataset {
    let mut random = Random::new(seed);
    let mut taken = HashSet::new();
    let mut train = Vec::new();
    let mut test = Vec::new();
    for intent in INTENTS {
        let (known, held_out) = intent.messages.split_at(intent.messages.len() - HELD_OUT);
        for _ in 0..TRAIN_ROWS {
            train.push((fresh(known, &mut taken, &mut random), intent.name));
        }
        for row in 0..TEST_ROWS {
            let patterns = if row % 5 == 0 { held_out } else { known };
            test.push((fresh(patterns, &mut taken, &mut random), intent.name));
        }
    }
    add_junk(&mut train, &mut random);
    random.shuffle(&mut train);
    random.shuffle(&mut test);
    let corpus = (0..CORPUS_ROWS).map(|_| document(&random.pick(INTENTS), &mut random)).collect();
    Dataset { train: csv(&train, &mut random), test: csv(&test, &mut random), corpus }
}

/// A request that was not used before.
fn fresh(patterns: &[&str], taken: &mut HashSet<String>, random: &mut Random) -> String {
    loop {
        let message = request(random.pick(patterns), random);
        if taken.insert(message.to_lowercase()) {
            return message;
        }
    }
}

/// A typed message: the request itself, mostly with something polite around it.
fn request(pattern: &str, random: &mut Random) -> String {
    let opening = sentence(random.pick(OPENINGS), random);
    let wish = sentence(pattern, random);
    let closing = sentence(random.pick(CLOSINGS), random);
    let message = [opening, wish, closing].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    noise::typed(&message, random)
}

/// Rows that come twice or nearly so, and rows that say nothing: what `dedup` and `text-clean` are for.
fn add_junk(train: &mut Vec<(String, &'static str)>, random: &mut Random) {
    let rows = train.len();
    for _ in 0..rows / 20 {
        let (message, label) = train[random.below(rows)].clone();
        train.push((message, label));
    }
    for _ in 0..rows / 20 {
        let (message, label) = train[random.below(rows)].clone();
        train.push((noise::nearly(&message, random), label));
    }
    for _ in 0..rows / 50 {
        train.push((random.pick(noise::EMPTY_ROWS).to_owned(), random.pick(INTENTS).name));
    }
}

/// One line of the corpus: a request and the shop's answer.
fn document(intent: &Intent, random: &mut Random) -> String {
    let request = request(random.pick(intent.messages), random);
    let reply = sentence(random.pick(intent.replies), random);
    format!("{{\"text\": \"{}\\n{}\"}}\n", escaped(&request), escaped(&reply))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn csv(rows: &[(String, &str)], random: &mut Random) -> String {
    let mut text = String::from("text,label\n");
    for (message, label) in rows {
        let message = noise::exported(message, random).replace('"', "\"\"");
        text.push_str(&format!("\"{message}\",{label}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_files_and_another_seed_does_not() {
        let first = generate(7);
        assert_eq!((first.train.clone(), first.corpus.clone()), {
            let again = generate(7);
            (again.train, again.corpus)
        });
        assert_ne!(first.test, generate(8).test);
    }

    #[test]
    fn there_are_a_thousand_labelled_examples_and_no_test_message_stands_in_the_training_set() {
        let mut random = Random::new(3);
        let mut taken = HashSet::new();
        let known: Vec<String> = (0..200).map(|_| fresh(INTENTS[0].messages, &mut taken, &mut random)).collect();
        let distinct: HashSet<String> = known.iter().map(|message| message.to_lowercase()).collect();
        assert_eq!(distinct.len(), known.len());
        assert!(generate(3).train.matches("\",").count() >= 1000);
    }
}
