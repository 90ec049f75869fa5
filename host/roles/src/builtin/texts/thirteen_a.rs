//! The tokenizer `13a` of sacrebleu: what `mteval-v13a.pl` does with Western languages.
//!
//! Each pass is one of its regular expressions, read from left to right over matches that do not overlap.

/// `line` with spaces around what is a token of its own.
pub(super) fn tokenized(line: &str) -> String {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if line.contains('&') {
        line = line.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    }
    let mut text: Vec<char> = std::iter::once(' ').chain(line.chars()).chain([' ']).collect();
    text = text.into_iter().flat_map(|c| if is_symbol(c) { vec![' ', c, ' '] } else { vec![c] }).collect();
    let point = |c: char| c == '.' || c == ',';
    text = pairs(&text, |a, b| !a.is_ascii_digit() && point(b), |a, b| vec![a, ' ', b, ' ']);
    text = pairs(&text, |a, b| point(a) && !b.is_ascii_digit(), |a, b| vec![' ', a, ' ', b]);
    text = pairs(&text, |a, b| a.is_ascii_digit() && b == '-', |a, b| vec![a, ' ', b, ' ']);
    text.into_iter().collect()
}

/// ``[\{-\~\[-\` -\&\(-\+\:-\@\/]``
fn is_symbol(c: char) -> bool {
    matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/')
}

/// Replaces neighbours that are `found`; the second of them begins no further pair.
fn pairs(text: &[char], found: impl Fn(char, char) -> bool, replaced: impl Fn(char, char) -> Vec<char>) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text;
    while let [a, tail @ ..] = rest {
        match tail {
            [b, after @ ..] if found(*a, *b) => {
                out.extend(replaced(*a, *b));
                rest = after;
            }
            _ => {
                out.push(*a);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_dashes_part_words_but_not_numbers() {
        let words = |line| tokenized(line).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words("Mr. Smith's 3.5-inch (1,000) e-mail..."), "Mr . Smith's 3.5 - inch ( 1,000 ) e-mail . . .");
        assert_eq!(words("a &quot;b&quot; &amp;lt; end-\nless"), "a \" b \" < endless");
    }
}
