//! The name a user probably meant.

/// The candidate nearest to `name`, when it is near enough to be meant.
///
/// Near enough: at most a third of the letters differ (one for short names), or
/// one name contains the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = fold(candidate);
            let distance = strsim::damerau_levenshtein(&folded, &other);
            let allowed = (folded.chars().count().max(other.chars().count()) / 3).max(1);
            let contained =
                folded.len() >= 3 && other.len() >= 3 && (other.contains(&folded) || folded.contains(&other));
            (distance <= allowed || contained).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace(['-', ' '], "_")
}

/// `a`, `b` or `c`, each in backticks; for "allowed: …".
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_key_that_was_meant() {
        let keys = ["learning_rate", "weight_decay", "beta1", "beta2", "epsilon"];
        assert_eq!(nearest("learnin_rate", keys), Some("learning_rate"));
        assert_eq!(nearest("learning-rate", keys), Some("learning_rate"));
        assert_eq!(nearest("wieght_decay", keys), Some("weight_decay"));
        assert_eq!(nearest("beta3", keys), Some("beta1"));
    }

    #[test]
    fn an_unrelated_word_finds_nothing() {
        assert_eq!(nearest("colour", ["learning_rate", "weight_decay"]), None);
    }

    #[test]
    fn a_part_of_a_name_finds_the_name() {
        assert_eq!(nearest("decay", ["learning_rate", "weight_decay"]), Some("weight_decay"));
    }
}
