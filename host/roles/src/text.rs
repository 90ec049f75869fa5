//! Text from outside (a plugin, a file) made fit for a message.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_cut_and_made_printable() {
        assert_eq!(shortened("a\x1b[31mred", 100), "a\u{fffd}[31mred");
        assert_eq!(shortened("größer", 3), "grö…");
        assert_eq!(shortened("gr", 2), "gr");
    }
}
