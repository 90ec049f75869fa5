//! Turns a pattern into one of the sentences it stands for.
//!
//! `(a|b|)` is one of its alternatives (here also nothing), and they nest; `{product}` is one of the words of that
//! slot. White space is squeezed at the end, so that an empty alternative leaves no gap.

use std::iter::Peekable;
use std::str::Chars;

use super::random::Random;

/// Words for each slot that a pattern may name.
const SLOTS: &[(&str, &[&str])] = &[
    (
        "product",
        &[
            "blender",
            "desk lamp",
            "kettle",
            "rain jacket",
            "backpack",
            "headphones",
            "phone case",
            "coffee grinder",
            "yoga mat",
            "office chair",
            "keyboard",
            "water bottle",
            "tent",
            "bike light",
            "frying pan",
            "wool sweater",
            "running shoes",
            "picture frame",
            "bookshelf",
            "toaster",
            "crêpe pan",
            "café table",
        ],
    ),
    ("city", &["Leeds", "Lyon", "Porto", "Zürich", "Kraków", "Bergen", "Málaga", "Ghent", "Turin", "Aarhus", "Graz"]),
    ("day", &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "yesterday", "last week"]),
    ("month", &["January", "March", "April", "June", "August", "October", "November"]),
    ("number", &["40211", "58830", "61907", "73342", "80015", "92764", "A-1178", "B-5520", "C-9043", "#31877"]),
    ("amount", &["12 euros", "19.90", "35 euros", "49.50", "60 pounds", "$84", "120 euros", "€ 27"]),
    ("span", &["two days", "three days", "a week", "ten days", "two weeks", "almost a month"]),
    ("street", &["Mill Lane 4", "Station Road 17", "Rue Haute 9", "Harbour Street 22", "Oak Avenue 101"]),
    ("code", &["SPRING10", "WELCOME", "FREESHIP", "SAVE15", "FRIEND20"]),
    ("size", &["small", "medium", "large", "size 38", "size 42", "extra large"]),
    ("colour", &["black", "green", "red", "dark blue", "grey", "white"]),
];

/// One sentence of `pattern`.
pub fn sentence(pattern: &str, random: &mut Random) -> String {
    let text = sequence(&mut pattern.chars().peekable(), random);
    let mut tidy = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for mark in [",", ".", "?", "!"] {
        tidy = tidy.replace(&format!(" {mark}"), mark);
    }
    tidy
}

/// Reads up to the end of the pattern or of an alternative, whose closing mark it leaves in place.
fn sequence(pattern: &mut Peekable<Chars<'_>>, random: &mut Random) -> String {
    let mut text = String::new();
    while let Some(&next) = pattern.peek() {
        match next {
            '|' | ')' => break,
            '(' => text.push_str(&alternatives(pattern, random)),
            '{' => text.push_str(slot(pattern, random)),
            _ => {
                text.push(next);
                pattern.next();
            }
        }
    }
    text
}

fn alternatives(pattern: &mut Peekable<Chars<'_>>, random: &mut Random) -> String {
    let mut choices = Vec::new();
    while pattern.next().is_some_and(|mark| mark != ')') {
        choices.push(sequence(pattern, random));
    }
    choices[random.below(choices.len())].clone()
}

fn slot(pattern: &mut Peekable<Chars<'_>>, random: &mut Random) -> &'static str {
    let name: String = pattern.by_ref().skip(1).take_while(|letter| *letter != '}').collect();
    SLOTS.iter().find(|(slot, _)| *slot == name).map_or("", |(_, words)| random.pick(words))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::intents::{CLOSINGS, INTENTS, OPENINGS};
    use super::*;

    #[test]
    fn every_alternative_of_a_pattern_occurs_and_nothing_else() {
        let mut random = Random::new(1);
        let seen: BTreeSet<String> =
            (0..200).map(|_| sentence("I (am|was (very|)) late (, sorry|)", &mut random)).collect();
        let expected = [
            "I am late",
            "I am late, sorry",
            "I was late",
            "I was late, sorry",
            "I was very late",
            "I was very late, sorry",
        ];
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn patterns_name_known_slots_and_close_what_they_open() {
        let patterns = INTENTS.iter().flat_map(|intent| intent.messages.iter().chain(intent.replies));
        for pattern in patterns.chain(OPENINGS).chain(CLOSINGS) {
            assert_eq!(pattern.matches('(').count(), pattern.matches(')').count(), "{pattern}");
            for piece in pattern.split('{').skip(1) {
                let name = piece.split('}').next();
                assert!(SLOTS.iter().any(|(slot, _)| Some(*slot) == name), "{pattern}");
            }
        }
    }
}
