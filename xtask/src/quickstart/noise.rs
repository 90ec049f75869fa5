//! What happens to a message between a customer's keyboard and a table: slips of the finger, remnants of markup,
//! signatures, rows that say nothing, rows that come twice.

use super::random::Random;

/// The letters beside each letter of a keyboard, as far as slips need them.
const NEIGHBOURS: &[(char, &str)] = &[
    ('a', "sq"),
    ('d', "sf"),
    ('e', "wr"),
    ('g', "fh"),
    ('i', "uo"),
    ('k', "jl"),
    ('l', "k"),
    ('m', "n"),
    ('n', "bm"),
    ('o', "ip"),
    ('r', "et"),
    ('s', "ad"),
    ('t', "ry"),
    ('u', "yi"),
    ('v', "cb"),
];

/// Rows without a request in them; the cleaning preprocessor drops these for being too short.
pub const EMPTY_ROWS: &[&str] = &["", "??", "<br/>", "ok", "&nbsp;", "<p></p>", "...", "hi"];

/// The message as it was typed: some slips, some shouting, some without punctuation.
pub fn typed(message: &str, random: &mut Random) -> String {
    let mut text = message.to_owned();
    if random.chance(35) {
        text = text.to_lowercase();
    } else if random.chance(4) {
        text = text.to_uppercase();
    }
    if random.chance(30) {
        text = text.replace(['.', ',', '?', '!'], "");
    }
    for _ in 0..[0, 0, 0, 1, 1, 2][random.below(6)] {
        text = slip(&text, random);
    }
    text
}

/// One slip inside a word of at least four letters.
fn slip(text: &str, random: &mut Random) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let long: Vec<usize> = (0..words.len()).filter(|at| words[*at].chars().count() >= 4).collect();
    if long.is_empty() {
        return text.to_owned();
    }
    let word = random.pick(&long);
    let mut letters: Vec<char> = words[word].chars().collect();
    let at = 1 + random.below(letters.len() - 2);
    match random.below(4) {
        0 => letters.swap(at, at + 1),
        1 => {
            letters.remove(at);
        }
        2 => letters.insert(at, letters[at]),
        _ => {
            if let Some((_, beside)) = NEIGHBOURS.iter().find(|(letter, _)| *letter == letters[at]) {
                letters[at] = random.pick(&beside.chars().collect::<Vec<_>>());
            }
        }
    }
    words[word] = letters.into_iter().collect();
    words.join(" ")
}

/// The message as an export of a help desk holds it: about a third of the rows carry something that is not text.
pub fn exported(message: &str, random: &mut Random) -> String {
    match random.below(24) {
        0 => format!("<p>{message}</p>"),
        1 => format!("<div class=\"msg\">{}</div>", message.replace(' ', "&nbsp;")),
        2 => format!("{message}<br/><br/>Sent from my phone"),
        3 => message.replacen(' ', "\u{a0}", 2),
        4 => message.replacen(' ', " \u{200b}", 1),
        5 => format!("\u{feff}{message}"),
        6 => message.replacen(' ', "  \t ", 2),
        7 => format!("{message}\u{7}\r\n"),
        8 => decomposed(message),
        _ => message.to_owned(),
    }
}

/// Accented letters as a letter and a combining mark, which look the same and compare as different.
fn decomposed(message: &str) -> String {
    let pairs = [('é', "e\u{301}"), ('ê', "e\u{302}"), ('ü', "u\u{308}"), ('á', "a\u{301}"), ('ó', "o\u{301}")];
    pairs.iter().fold(message.to_owned(), |text, (letter, split)| text.replace(*letter, split))
}

/// A copy of the message that differs in next to nothing.
pub fn nearly(message: &str, random: &mut Random) -> String {
    match random.below(3) {
        0 => format!("{message}!!"),
        1 => message.to_uppercase(),
        _ => format!("{message} thanks"),
    }
}
