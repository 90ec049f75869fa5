//! The name somebody probably meant.
//!
//! One measure for keys, columns, labels, files, tensors and fields, so that
//! every message suggests alike: equal but for case and `-`/`_`, or few edits for
//! the length of the word, or one contained in the other.

/// The candidate nearest to `name`, when one is near enough to be meant.
///
/// Near enough: at most a third of the letters differ (one for short names), or
/// one name, of three letters or more, contains the other.
///
/// ```
/// use retune_roles::nearest::nearest;
/// assert_eq!(nearest("categroy", ["text", "category"]), Some("category"));
/// assert_eq!(nearest("colour", ["text", "category"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(name);
    let length = wanted.chars().count();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| {
            let there = fold(candidate);
            let longest = length.max(there.chars().count());
            let edits = strsim::damerau_levenshtein(&wanted, &there);
            let contained =
                length >= 3 && there.chars().count() >= 3 && (there.contains(&wanted) || wanted.contains(&there));
            let near = edits < longest && edits <= (longest / 3).max(1);
            (near || contained || wanted == there).then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace(['-', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["learning_rate", "weight_decay", "beta1", "beta2", "epsilon"];

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        assert_eq!(nearest("learnin_rate", KEYS), Some("learning_rate"));
        assert_eq!(nearest("wieght_decay", KEYS), Some("weight_decay"));
        assert_eq!(nearest("beta3", KEYS), Some("beta1"));
        assert_eq!(nearest("lables", ["logits", "labels", "hidden"]), Some("labels"));
        assert_eq!(nearest("train.cvs", ["test.csv", "train.csv"]), Some("train.csv"));
    }

    #[test]
    fn case_and_dashes_do_not_count() {
        assert_eq!(nearest("learning-rate", KEYS), Some("learning_rate"));
        assert_eq!(nearest("Text", ["text", "label"]), Some("text"));
    }

    #[test]
    fn a_part_of_a_name_finds_the_name() {
        assert_eq!(nearest("decay", ["learning_rate", "weight_decay"]), Some("weight_decay"));
        assert_eq!(nearest("label", ["text", "label_text"]), Some("label_text"));
    }

    #[test]
    fn nothing_is_suggested_when_nothing_is_near() {
        assert_eq!(nearest("colour", KEYS), None);
        assert_eq!(nearest("intent", ["text", "category"]), None);
        assert_eq!(nearest("zzz", KEYS), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("anything", []), None);
    }
}
