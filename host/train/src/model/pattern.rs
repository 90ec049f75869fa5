//! Globs over dotted names.
//!
//! `*` is one segment (or a part of one), `**` any number of them, `{a,b}` an
//! alternative and `{0..3}` the numbers 0 to 3, both included. A pattern takes a
//! name when it matches all of it or all of its leading segments:
//! `encoder.layer.{0..3}` takes every parameter of the first four blocks, and
//! `layers.1` never takes `layers.10`. The prefix of the base model (`bert.`,
//! `model.`) may be left out. A pattern that takes nothing is an error.
//!
//! ```
//! use retune_train::model::pattern::Patterns;
//! let names = ["model.layers.1.mlp.up_proj.weight", "model.layers.10.mlp.up_proj.weight"];
//! let patterns = Patterns::new(&["layers.1".to_owned()])?;
//! assert_eq!(patterns.select(names)?, [0]);
//! # Ok::<(), retune_train::model::pattern::PatternError>(())
//! ```

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

/// What base models are called inside task models.
const BASE_PREFIXES: [&str; 5] = ["bert.", "distilbert.", "model.", "roberta.", "transformer."];

/// The most numbers a `{a..b}` may stand for.
const LONGEST_RANGE: u64 = 10_000;

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not parse.
    #[error("pattern `{pattern}` is not a valid glob: {reason}")]
    Invalid {
        /// As given.
        pattern: String,
        /// One sentence, without a full stop.
        reason: String,
    },
    /// It takes nothing.
    #[error("pattern `{pattern}` matches nothing{}", suggestion(nearest))]
    NoMatch {
        /// As given.
        pattern: String,
        /// The most similar names, best first.
        nearest: Vec<String>,
    },
}

impl PatternError {
    /// The pattern, as given.
    pub fn pattern(&self) -> &str {
        match self {
            Self::Invalid { pattern, .. } | Self::NoMatch { pattern, .. } => pattern,
        }
    }

    /// The most similar names, best first.
    pub fn nearest(&self) -> &[String] {
        match self {
            Self::Invalid { .. } => &[],
            Self::NoMatch { nearest, .. } => nearest,
        }
    }
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = nearest.iter().map(|n| format!("`{n}`")).collect();
    format!("; the nearest names are {}", quoted.join(", "))
}

/// A list of globs, any of which may match.
#[derive(Clone, Debug)]
pub struct Patterns {
    list: Vec<(String, GlobMatcher)>,
}

impl Patterns {
    /// Parses each pattern.
    ///
    /// # Errors
    /// Names the first one that does not parse.
    pub fn new(patterns: &[String]) -> Result<Self, PatternError> {
        let list = patterns.iter().map(|p| Ok((p.clone(), compile(p)?))).collect::<Result<_, _>>()?;
        Ok(Self { list })
    }

    /// True when there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any pattern takes `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.list.iter().any(|(_, glob)| takes(glob, name))
    }

    /// Indices of the names that are taken, ascending, without repetition.
    ///
    /// # Errors
    /// Names the first pattern that takes none of them, and the nearest names.
    pub fn select<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<usize>, PatternError> {
        let names: Vec<&str> = names.into_iter().collect();
        let mut taken = BTreeSet::new();
        for (pattern, glob) in &self.list {
            let mut hits = (0..names.len()).filter(|i| takes(glob, names[*i])).peekable();
            if hits.peek().is_none() {
                return Err(PatternError::NoMatch { pattern: pattern.clone(), nearest: nearest(pattern, &names) });
            }
            taken.extend(hits);
        }
        Ok(taken.into_iter().collect())
    }

    /// Each pattern by itself, in order.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> + '_ {
        self.list.iter().map(|one| Self { list: vec![one.clone()] })
    }
}

/// `name` without the base model's prefix.
pub(super) fn unprefixed(name: &str) -> &str {
    BASE_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// `name` and each of its leading parts, longest first.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |part| part.rfind('.').map(|dot| &part[..dot]))
}

fn takes(glob: &GlobMatcher, name: &str) -> bool {
    let bare = unprefixed(name);
    let shorter = (bare.len() < name.len()).then_some(bare);
    ancestors(name).chain(shorter.into_iter().flat_map(ancestors)).any(|part| glob.is_match(part.replace('.', "/")))
}

fn compile(pattern: &str) -> Result<GlobMatcher, PatternError> {
    let invalid = |reason: String| PatternError::Invalid { pattern: pattern.to_owned(), reason };
    if pattern.is_empty() {
        return Err(invalid("it is empty".into()));
    }
    if let Some(odd) = pattern.chars().find(|c| "/\\".contains(*c) || c.is_whitespace()) {
        return Err(invalid(format!("{odd:?} does not occur in names; segments are separated by dots")));
    }
    let path = expand_ranges(pattern).map_err(invalid)?.replace('.', "/");
    if path.split('/').any(str::is_empty) {
        return Err(invalid("a segment between dots is empty".into()));
    }
    let glob = GlobBuilder::new(&path).literal_separator(true).backslash_escape(false).build();
    glob.map(|g| g.compile_matcher()).map_err(|e| invalid(e.kind().to_string()))
}

/// `{0..3}` to `{0,1,2,3}`.
fn expand_ranges(pattern: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|i| i + open) else { break };
        let inside = &rest[open + 1..close];
        expanded.push_str(&rest[..open]);
        if let Some((low, high)) = inside.split_once("..") {
            let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{inside}` is not a range of numbers"));
            let (low, high) = (number(low)?, number(high)?);
            if low > high || high - low >= LONGEST_RANGE {
                return Err(format!("the range `{inside}` is empty or longer than {LONGEST_RANGE}"));
            }
            let numbers: Vec<String> = (low..=high).map(|n| n.to_string()).collect();
            expanded.push_str(&format!("{{{}}}", numbers.join(",")));
        } else {
            expanded.push_str(&rest[open..=close]);
        }
        rest = &rest[close + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Up to three of `names` that look most like `pattern`.
pub(super) fn nearest_names(pattern: &str, names: &[&str]) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> =
        names.iter().map(|name| (strsim::normalized_damerau_levenshtein(pattern, name), *name)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.len().cmp(&b.1.len())));
    scored.into_iter().filter(|(score, _)| *score > 0.4).take(3).map(|(_, name)| name.to_owned()).collect()
}

/// Up to three names, or leading parts of names, that look most like `pattern`.
fn nearest(pattern: &str, names: &[&str]) -> Vec<String> {
    let parts: BTreeSet<&str> =
        names.iter().flat_map(|name| ancestors(name).chain(ancestors(unprefixed(name)))).collect();
    let mut scored: Vec<(f64, &str)> =
        parts.into_iter().map(|part| (strsim::normalized_damerau_levenshtein(pattern, part), part)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.len().cmp(&b.1.len())));
    scored.into_iter().filter(|(score, _)| *score > 0.3).take(3).map(|(_, part)| part.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    fn taken(pattern: &str, name: &str) -> bool {
        Patterns::new(&[pattern.to_owned()]).unwrap().matches(name)
    }

    #[test]
    fn globs_take_what_their_table_says() {
        let name = "bert.encoder.layer.1.attention.self.query.weight";
        for (pattern, expected) in [
            ("bert.encoder.layer.1", true),
            ("encoder.layer.1", true),
            ("encoder.layer.1.attention.self.query.weight", true),
            ("encoder.layer.*", true),
            ("encoder.layer.*.attention", true),
            ("encoder.layer.{0..3}", true),
            ("encoder.layer.{2..3}", false),
            ("encoder.{layer,block}.1.**", true),
            ("**.query.weight", true),
            ("**.weight", true),
            ("*.weight", false),
            ("**.bias", false),
            ("layer.1", false),
            ("encoder.layer.10", false),
            ("encoder.lay*", true),
            ("encoder.layer.1.att", false),
            ("bert", true),
            ("**", true),
        ] {
            assert_eq!(taken(pattern, name), expected, "{pattern}");
        }
    }

    #[test]
    fn layer_1_never_takes_layer_10() {
        for pattern in ["layers.1", "model.layers.1", "layers.1.**", "**.1.**", "layers.{0..1}", "layers.{1,2}"] {
            assert!(taken(pattern, "model.layers.1.mlp.up_proj.weight"), "{pattern}");
            assert!(!taken(pattern, "model.layers.10.mlp.up_proj.weight"), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_names_the_nearest_names() {
        let names = [
            "bert.encoder.layer.0.output.dense.weight",
            "bert.encoder.layer.1.output.dense.weight",
            "classifier.weight",
        ];
        let patterns = Patterns::new(&["classifier".into(), "encoder.layers.0".into()]).unwrap();
        let error = patterns.select(names).unwrap_err();
        assert_eq!(error.pattern(), "encoder.layers.0");
        assert_eq!(error.nearest()[0], "encoder.layer.0");
        assert!(error.to_string().contains("matches nothing; the nearest names are `encoder.layer.0`"), "{error}");
    }

    #[test]
    fn malformed_patterns_are_refused_with_a_reason() {
        for (pattern, reason) in [
            ("", "empty"),
            ("a..b", "segment between dots is empty"),
            ("a/b", "separated by dots"),
            ("layer.{3..1}", "empty or longer"),
            ("layer.{a..b}", "not a range"),
            ("layer.{0,1", "unclosed alternate"),
            ("layer.[0", "unclosed character class"),
        ] {
            match Patterns::new(&[pattern.to_owned()]) {
                Err(e @ PatternError::Invalid { .. }) => assert!(e.to_string().contains(reason), "{e}"),
                other => panic!("{pattern}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(pattern in "\\PC{0,24}", name in "[a-z0-9.]{0,24}") {
            if let Ok(patterns) = Patterns::new(&[pattern]) {
                let _ = patterns.matches(&name);
            }
        }

        #[test]
        fn a_number_takes_itself_and_no_other(a in 0u32..200, b in 0u32..200) {
            prop_assert_eq!(taken(&format!("layers.{a}"), &format!("model.layers.{b}.x.weight")), a == b);
        }

        #[test]
        fn a_range_takes_exactly_its_numbers(low in 0u32..40, span in 0u32..40, n in 0u32..100) {
            let pattern = format!("layers.{{{low}..{}}}", low + span);
            prop_assert_eq!(taken(&pattern, &format!("layers.{n}.weight")), (low..=low + span).contains(&n));
        }
    }
}
