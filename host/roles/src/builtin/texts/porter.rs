//! Porter's stemmer (1980) with the extensions of NLTK, which rouge-score stems with.
//!
//! Words are small ASCII letters and digits; a digit counts as a consonant.

/// Words that the rules would get wrong, and their stems.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// The stem of a word of ASCII letters and digits.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if word.len() <= 2 {
        return word.to_owned();
    }
    let steps: [fn(String) -> String; 8] = [plural, past, y_to_i, suffixes, second_suffixes, endings, last_e, last_l];
    steps.into_iter().fold(word.to_owned(), |word, step| step(word))
}

/// Whether each letter is a consonant; a `y` is one at the beginning and after a vowel.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(word.len());
    for letter in word.bytes() {
        let consonant = match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => flags.last().is_none_or(|before| !before),
            _ => true,
        };
        flags.push(consonant);
    }
    flags
}

/// How often a consonant follows a vowel.
fn measure(stem: &str) -> usize {
    consonants(stem).windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).contains(&false)
}

fn double_consonant(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 2 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2] && consonants(word).ends_with(&[true])
}

/// Consonant, vowel, consonant other than w, x, y; or a word of vowel and consonant.
fn short_end(word: &str) -> bool {
    let flags = consonants(word);
    (flags.ends_with(&[true, false, true]) && !word.ends_with(['w', 'x', 'y'])) || flags == [false, true]
}

/// The first rule whose suffix the word has: its replacement where the stem is `fit`, else the word as it is.
fn replaced(word: String, rules: &[(&str, &str)], fit: impl Fn(&str, &str) -> bool) -> String {
    for (suffix, replacement) in rules {
        if let Some(stem) = word.strip_suffix(suffix) {
            return if fit(stem, suffix) { format!("{stem}{replacement}") } else { word };
        }
    }
    word
}

/// Step 1a.
fn plural(word: String) -> String {
    if word.len() == 4 && word.ends_with("ies") {
        return word[..3].to_owned();
    }
    replaced(word, &[("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")], |_, _| true)
}

/// Step 1b.
fn past(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word };
    }
    let cut = ["ed", "ing"].into_iter().find_map(|suffix| word.strip_suffix(suffix).filter(|stem| has_vowel(stem)));
    let Some(stem) = cut else { return word };
    if ["at", "bl", "iz"].iter().any(|end| stem.ends_with(end)) {
        format!("{stem}e")
    } else if double_consonant(stem) {
        let kept = if stem.ends_with(['l', 's', 'z']) { stem } else { &stem[..stem.len() - 1] };
        kept.to_owned()
    } else if measure(stem) == 1 && short_end(stem) {
        format!("{stem}e")
    } else {
        stem.to_owned()
    }
}

/// Step 1c.
fn y_to_i(word: String) -> String {
    replaced(word, &[("y", "i")], |stem, _| stem.len() > 1 && consonants(stem).ends_with(&[true]))
}

/// Step 2.
fn suffixes(word: String) -> String {
    if let Some(stem) = word.strip_suffix("alli")
        && measure(stem) > 0
    {
        return suffixes(format!("{stem}al"));
    }
    let rules = [
        ("ational", "ate"),
        ("tional", "tion"),
        ("enci", "ence"),
        ("anci", "ance"),
        ("izer", "ize"),
        ("bli", "ble"),
        ("alli", "al"),
        ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"),
        ("ization", "ize"),
        ("ation", "ate"),
        ("ator", "ate"),
        ("alism", "al"),
        ("iveness", "ive"),
        ("fulness", "ful"),
        ("ousness", "ous"),
        ("aliti", "al"),
        ("iviti", "ive"),
        ("biliti", "ble"),
        ("fulli", "ful"),
        ("logi", "log"),
    ];
    // The l of logi counts to the stem, so that geology is one.
    replaced(word, &rules, |stem, suffix| match suffix {
        "logi" => measure(&format!("{stem}l")) > 0,
        _ => measure(stem) > 0,
    })
}

/// Step 3.
fn second_suffixes(word: String) -> String {
    let rules =
        [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];
    replaced(word, &rules, |stem, _| measure(stem) > 0)
}

/// Step 4.
fn endings(word: String) -> String {
    const ENDINGS: [&str; 19] = [
        "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate",
        "iti", "ous", "ive", "ize",
    ];
    let rules = ENDINGS.map(|ending| (ending, ""));
    replaced(word, &rules, |stem, suffix| measure(stem) > 1 && (suffix != "ion" || stem.ends_with(['s', 't'])))
}

/// Step 5a.
fn last_e(word: String) -> String {
    match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !short_end(stem)) => stem.to_owned(),
        _ => word,
    }
}

/// Step 5b.
fn last_l(word: String) -> String {
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && measure(stem) > 1 => stem.to_owned(),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_porters_paper_have_his_stems_and_nltks_exceptions_theirs() {
        for (word, expected) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("plastered", "plaster"),
            ("hopping", "hop"),
            ("filing", "file"),
            ("falling", "fall"),
            ("relational", "relat"),
            ("vietnamization", "vietnam"),
            ("adoption", "adopt"),
            ("controll", "control"),
            ("dies", "die"),
            ("spied", "spi"),
            ("enjoy", "enjoy"),
            ("geology", "geolog"),
            ("skies", "sky"),
            ("succeed", "succeed"),
        ] {
            assert_eq!(stem(word), expected, "{word}");
        }
    }
}
