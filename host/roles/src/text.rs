//! Text from outside (a plugin, a file) made fit for a message.

/// Most rows that a message names.
const ROWS: usize = 8;

/// At most `limit` characters of `text`, control characters made visible.
pub fn shortened(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(limit)
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
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
    }

    #[test]
    fn of_many_rows_the_first_eight_are_named() {
        let keys: Vec<String> = [9, 2, 7, 4, 5, 6, 3, 8, 1].map(|line| format!("a.csv:{line}")).into();
        assert_eq!(rows(&keys[..1]), "a.csv:9");
        assert_eq!(rows(&keys[..3]), "a.csv:9, a.csv:2, a.csv:7");
        assert!(rows(&keys[..8]).ends_with(", a.csv:8") && rows(&keys).ends_with(", a.csv:8 and 1 more"));
    }
}
