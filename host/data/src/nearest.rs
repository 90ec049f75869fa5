//! The name somebody probably meant.
//!
//! One measure for columns, labels, files and fields, so that all messages
//! suggest alike: equal but for case, or few edits for the length of the word,
//! or one contained in the other.

/// The candidate nearest to `name`, when one is near enough to be meant.
///
/// ```
/// use retune_data::nearest::nearest;
/// assert_eq!(nearest("categroy", ["text", "category"]), Some("category"));
/// assert_eq!(nearest("label", ["text", "category"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let wanted_length = wanted.chars().count();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let there = candidate.to_lowercase();
        let length = there.chars().count();
        let edits = strsim::damerau_levenshtein(&wanted, &there);
        let allowed = (wanted_length.max(length) / 3).max(1);
        let contained = wanted_length.min(length) >= 3 && (there.contains(&wanted) || wanted.contains(&there));
        let shares = edits < wanted_length.max(length);
        if candidate != name && shares && (edits <= allowed || contained) && best.is_none_or(|(least, _)| edits < least)
        {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `` ; did you mean `x`? `` or nothing, for the end of a sentence.
pub(crate) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_letter_or_another_case_or_a_longer_form_is_near() {
        assert_eq!(nearest("lable", ["text", "label"]), Some("label"));
        assert_eq!(nearest("Text", ["text", "label"]), Some("text"));
        assert_eq!(nearest("label", ["text", "label_text"]), Some("label_text"));
        assert_eq!(nearest("train.cvs", ["test.csv", "train.csv"]), Some("train.csv"));
    }

    #[test]
    fn nothing_is_suggested_when_nothing_is_near() {
        assert_eq!(nearest("intent", ["text", "category"]), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("anything", []), None);
    }
}
