//! Globs over dotted names.
//!
//! `*` is one segment (or a part of one), `**` any number of them, `{a,b}` an
//! alternative and `{0..3}` the numbers 0 to 3, both included. A pattern takes a
//! name when it matches all of it or all of its leading segments:
//! `encoder.layer.{0..3}` takes every parameter of the first four blocks, and
//! `layers.1` never takes `layers.10`. The prefix of the base model (`bert.`,
//! `model.`) may be left out. A pattern that takes nothing is an error.
//!
//! Recipes, adapters and policies all write patterns, so their bounds are here: [`LONGEST`] characters, alternatives
//! [`DEEPEST`] deep, and a range becomes a few classes of digits however many numbers it stands for. What compiles one is
//! run so that it cannot end the process.
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
use retune_roles::{caught::caught, text::line};

/// What base models are called inside task models.
const BASE_PREFIXES: [&str; 5] = ["bert.", "distilbert.", "model.", "roberta.", "transformer."];

/// The most characters of a pattern.
const LONGEST: usize = 512;

/// How deep alternatives may stand within alternatives.
const DEEPEST: usize = 8;

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not parse.
    #[error("pattern `{}` is not a valid glob: {reason}", line(pattern, 80))]
    Invalid {
        /// As given.
        pattern: String,
        /// One sentence, without a full stop.
        reason: String,
    },
    /// It takes nothing.
    #[error("pattern `{}` matches nothing{}", line(pattern, 80), suggestion(nearest))]
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
    if pattern.chars().nth(LONGEST).is_some() {
        return Err(invalid(format!("it has more than {LONGEST} characters")));
    }
    if nesting(pattern) > DEEPEST {
        return Err(invalid(format!("its alternatives `{{` stand more than {DEEPEST} deep in each other")));
    }
    if let Some(odd) = pattern.chars().find(|c| "/\\".contains(*c) || c.is_whitespace()) {
        return Err(invalid(format!("{odd:?} does not occur in names; segments are separated by dots")));
    }
    let path = expand_ranges(pattern).map_err(invalid)?.replace('.', "/");
    if path.split('/').any(str::is_empty) {
        return Err(invalid("a segment between dots is empty".into()));
    }
    let glob = GlobBuilder::new(&path).literal_separator(true).backslash_escape(false).build();
    let compiled = caught(|| glob.map(|glob| glob.compile_matcher())).map_err(invalid)?;
    compiled.map_err(|e| invalid(e.kind().to_string()))
}

/// How many alternatives stand open at most.
fn nesting(pattern: &str) -> usize {
    let depths = pattern.chars().scan(0_usize, |depth, c| {
        match c {
            '{' => *depth += 1,
            '}' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    });
    depths.max().unwrap_or_default()
}

/// `{0..12}` to `{[0-9],1[0-2]}`.
fn expand_ranges(pattern: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let (before, inside) = (&rest[..open], &rest[open + 1..]);
        expanded.push_str(before);
        // Up to the next brace: a range has none inside.
        let end = inside.find(['{', '}']).unwrap_or(inside.len());
        match inside[..end].split_once("..").filter(|_| inside[end..].starts_with('}')) {
            Some((low, high)) => {
                let range = &inside[..end];
                let number = |text: &str| text.parse().map_err(|_| format!("`{range}` is not a range of numbers"));
                let (low, high): (u64, u64) = (number(low)?, number(high)?);
                if low > high {
                    return Err(format!("the range `{range}` is empty"));
                }
                expanded.push_str(&format!("{{{}}}", numbers(low, high).join(",")));
                rest = &inside[end + 1..];
            }
            None => {
                expanded.push('{');
                rest = inside;
            }
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Globs that together take the numbers from `low` to `high`, as people write them, and nothing else.
fn numbers(low: u64, high: u64) -> Vec<String> {
    let (mut next, high) = (u128::from(low), u128::from(high));
    let mut globs = Vec::new();
    while next <= high {
        // Blocks of 10^k numbers that begin at `next` and have all their last k digits; zero is one digit.
        let mut block = 1;
        while next > 0 && next % (block * 10) == 0 && next + block * 10 - 1 <= high {
            block *= 10;
        }
        let (lead, first) = (next / block / 10, next / block % 10);
        let last = (first..=9).take_while(|digit| (lead * 10 + digit + 1) * block - 1 <= high).last().unwrap_or(first);
        let lead = if lead == 0 { String::new() } else { lead.to_string() };
        let digit = if first == last { first.to_string() } else { format!("[{first}-{last}]") };
        globs.push(lead + &digit + &"[0-9]".repeat(block.ilog10() as usize));
        next = next / block * block + (last - first + 1) * block;
    }
    globs
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
            ("layer.{3..1}", "the range `3..1` is empty"),
            ("layer.{0..99999999999999999999}", "not a range"),
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

    #[test]
    fn a_pattern_is_bounded_before_it_is_compiled() {
        let reason = |pattern: String| Patterns::new(&[pattern]).map(|_| ()).unwrap_err().to_string();
        insta::assert_snapshot!(reason("{".repeat(250)), @"pattern `{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{…` is not a valid glob: its alternatives `{` stand more than 8 deep in each other");
        insta::assert_snapshot!(reason("a".repeat(513)), @"pattern `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is not a valid glob: it has more than 512 characters");
        assert!(taken("{a,{b,{c,{0..3}}}}", "2") && taken("{a,{b,{c,{0..3}}}}", "b"));
        assert!(taken(&"*".repeat(512), "a.b"));
    }

    #[test]
    fn a_range_is_a_few_classes_of_digits() {
        assert_eq!(numbers(0, 12), ["[0-9]", "1[0-2]"]);
        assert_eq!(numbers(7, 7), ["7"]);
        assert_eq!(numbers(98, 1203), ["9[8-9]", "[1-9][0-9][0-9]", "1[0-1][0-9][0-9]", "120[0-3]"]);
        assert_eq!(numbers(0, 9_999).len(), 4);
        assert!(numbers(1, u64::MAX).len() < 40);
        assert!(taken("layers.{0..18446744073709551615}", "layers.18446744073709551615"));
        assert!(!taken("layers.{0..9999}", "layers.007"));
    }

    proptest! {
        #[test]
        fn compiling_any_pattern_of_globs_ends_in_a_pattern_or_a_reason(
            parts in proptest::collection::vec("[{}\\[\\],*?!^.a0-9-]{0,6}|\\{[0-9]{1,20}\\.\\.[0-9]{1,20}\\}|\\[!-~\\]", 0..120)
        ) {
            let pattern = parts.concat();
            if let Err(error) = Patterns::new(&[pattern]) {
                prop_assert!(error.to_string().chars().count() < 700, "{error}");
                prop_assert!(!error.to_string().contains("regex"), "the library failed: {error}");
            }
        }

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
