//! Text from outside (a plugin, a file) made fit for a message.
//!
//! What is not fit: control characters, which rewrite a screen and forge lines; the marks and overrides of bidirectional
//! text, which show it in another order than it has; separators of lines and paragraphs; invisible characters that carry
//! text of their own. [`line`] takes all of them out, [`shortened`] leaves ends of lines and the marks that Arabic and
//! Hebrew are written with. Both are bounded, and change nothing when they are applied again. Price: one pass over what is shown.

/// Most rows that a message names.
const ROWS: usize = 8;

/// Stands for a character that is not shown.
const MARK: char = '\u{fffd}';

/// At most `limit` characters of `text` on one line: ends of lines, with the white space behind them, are a space.
pub fn line(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut characters = text.chars().peekable();
    for _ in 0..limit {
        match characters.next() {
            None => return shown,
            Some(c) if ends_line(c) => {
                while characters.next_if(|c| c.is_whitespace()).is_some() {}
                shown.push(' ');
            }
            Some(c) => shown.push(if is_unsafe(c) { MARK } else { c }),
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Whether `text` can be shown on one line as it is.
pub fn is_line(text: &str) -> bool {
    !text.chars().any(is_unsafe)
}

/// At most `limit` characters of `text`, which may have several lines; control characters made visible.
pub fn shortened(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().take(limit).map(visible_character).collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

/// `text` of any length and any number of lines, control characters made visible.
pub fn visible(text: &str) -> String {
    text.chars().map(visible_character).collect()
}

fn visible_character(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => MARK,
        c if c.is_control() => MARK,
        c => c,
    }
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\t')
}

/// Characters that no line of a message has.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Lines, paragraphs.
            '\u{2028}' | '\u{2029}'
            // Direction: marks, embeddings, overrides, isolates, and what came before them.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Invisible: a mark of byte order, annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The rows called `keys`, for a message: the first eight by name, then how many more. They are not a range: neither
/// training nor evaluation takes rows in the order of the file.
pub fn rows(keys: &[String]) -> String {
    let shown = keys[..keys.len().min(ROWS)].join(", ");
    match keys.len() - keys.len().min(ROWS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_cut_and_made_printable() {
        assert_eq!(shortened("a\x1b[31mred", 100), "a\u{fffd}[31mred");
        assert_eq!(shortened("größer", 3), "grö…");
        assert_eq!(shortened("gr", 2), "gr");
        assert_eq!(shortened("a\n\u{202e}b", 9), "a\n\u{fffd}b");
    }

    #[test]
    fn a_line_has_neither_ends_of_lines_nor_marks_that_change_how_it_is_read() {
        assert_eq!(line("left == right\n  left: 1\r\n\n right: 2", 99), "left == right left: 1 right: 2");
        assert_eq!(line("ok\nerror: forged\u{202e}\u{1b}[2J\u{2028}x", 99), "ok error: forged\u{fffd}\u{fffd}[2J x");
        assert_eq!(line("größer", 3), "grö…");
        assert_eq!(line("größer", 0), "…");
        assert_eq!(line("", 0), "");
        assert!(is_line("größer, שלום") && !is_line("a\tb") && !is_line("\u{200f}") && !is_line("\u{e0041}"));
    }

    #[test]
    fn of_many_rows_the_first_eight_are_named() {
        let keys: Vec<String> = [9, 2, 7, 4, 5, 6, 3, 8, 1].map(|line| format!("a.csv:{line}")).into();
        assert_eq!(rows(&keys[..1]), "a.csv:9");
        assert_eq!(rows(&keys[..3]), "a.csv:9, a.csv:2, a.csv:7");
        assert!(rows(&keys[..8]).ends_with(", a.csv:8") && rows(&keys).ends_with(", a.csv:8 and 1 more"));
    }
}
