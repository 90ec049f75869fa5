//! Words as Python's `str.split()` finds them: it takes four control characters for white space that Unicode does not.

/// Whether Python takes it for white space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What stands between white space.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_that_separate_information_separate_words() {
        assert_eq!(split(" a\u{1c}b\u{a0}\u{2003}c\u{200b}d\n").collect::<Vec<_>>(), ["a", "b", "c\u{200b}d"]);
    }
}
