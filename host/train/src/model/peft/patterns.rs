//! Where adapters sit and what they are multiplied by, in `peft`'s words and in retune's.
//!
//! `peft` takes a module by the end of its name, or by regular expressions that depend on their order. What is read is
//! settled by the names of the weights; of what is written, names are shortened only where that takes no other module.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

/// Whether `peft` would take the module called `name` by the list entry `target`: the whole name, or the end of it.
pub(super) fn takes(target: &str, name: &str) -> bool {
    name.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// `targets` when they take every one of `modules` and are nothing but names, else the names of all modules.
pub(super) fn targets(targets: Option<&[String]>, modules: &BTreeSet<String>) -> Vec<String> {
    let plain = targets.filter(|targets| targets.iter().all(|target| is_plain(target)));
    let said = plain.filter(|targets| {
        modules.iter().all(|name| targets.iter().any(|target| takes(target, name)))
            && targets.iter().all(|target| modules.iter().any(|name| takes(target, name)))
    });
    said.map_or_else(|| modules.iter().cloned().collect(), <[String]>::to_vec)
}

/// The value of each of `modules` that has another than `default`; keys are shortened as in [`shortened`].
pub(super) fn values<T: Copy + PartialEq>(
    modules: &BTreeSet<String>,
    others: &BTreeSet<String>,
    default: T,
    of: impl Fn(&str) -> T,
) -> BTreeMap<String, T> {
    let mut rest: Vec<(T, BTreeSet<String>)> = Vec::new();
    for name in modules {
        let value = of(name);
        if value == default {
            continue;
        }
        match rest.iter_mut().find(|(known, _)| *known == value) {
            Some((_, names)) => drop(names.insert(name.clone())),
            None => rest.push((value, BTreeSet::from([name.clone()]))),
        }
    }
    let mut map = BTreeMap::new();
    for (value, names) in rest {
        let others = modules.difference(&names).chain(others).cloned().collect();
        map.extend(shortened(&names, &others).into_iter().map(|name| (name, value)));
    }
    map
}

/// `names`, those with the same last segment as one where none of `others` ends like it.
pub(super) fn shortened(names: &BTreeSet<String>, others: &BTreeSet<String>) -> Vec<String> {
    let mut out = BTreeSet::new();
    for name in names {
        let last = name.rsplit('.').next().unwrap_or(name);
        out.insert(if others.iter().any(|other| takes(last, other)) { name.clone() } else { last.to_owned() });
    }
    out.into_iter().collect()
}

/// The values that `patterns` give to `name`: the first regular expression that takes all of it, or the end of it behind a
/// dot, as `re.match(rf"(.*\.)?({key})$", name)` of Python. One that is malformed is told.
pub(super) fn first<T: Copy>(patterns: &[(String, T)], name: &str) -> Result<Option<T>, String> {
    for (pattern, value) in patterns {
        let regex =
            Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).map_err(|error| format!("`{pattern}`: {error}"))?;
        if regex.is_match(name) {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

fn is_plain(target: &str) -> bool {
    target.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_short_name_never_takes_a_module_that_is_left_out() {
        let taken = names(&["a.0.q", "a.1.q", "a.0.v"]);
        assert_eq!(shortened(&taken, &names(&["a.1.v", "a.0.k"])), ["a.0.v", "q"]);
        assert_eq!(shortened(&taken, &names(&["xq", "a.0.k"])), ["q", "v"], "a segment is taken whole");
    }

    #[test]
    fn what_a_list_does_not_say_alone_is_said_by_names() {
        let modules = names(&["a.0.q", "a.0.v"]);
        let list = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(targets(Some(&list(&["q", "v"])), &modules), ["q", "v"]);
        assert_eq!(targets(Some(&list(&["q"])), &modules), ["a.0.q", "a.0.v"]);
        assert_eq!(targets(Some(&list(&["q", "v", "o"])), &modules), ["a.0.q", "a.0.v"]);
        assert_eq!(targets(Some(&list(&["q|v"])), &modules), ["a.0.q", "a.0.v"]);
        assert_eq!(targets(None, &modules), ["a.0.q", "a.0.v"]);
    }

    #[test]
    fn the_first_regular_expression_that_takes_a_whole_end_counts() {
        let patterns = [(r"^a\.0.*v".to_owned(), 1), ("v".to_owned(), 2), ("q|k".to_owned(), 3)];
        assert_eq!(first(&patterns, "a.0.v").unwrap(), Some(1));
        assert_eq!(first(&patterns, "b.a.0.v").unwrap(), Some(2), "`^` is the beginning of the name");
        assert_eq!(first(&patterns, "a.k").unwrap(), Some(3));
        assert_eq!(first(&patterns, "a.kv").unwrap(), None);
        assert!(first(&[("(".to_owned(), 1)], "a").unwrap_err().starts_with("`(`"));
    }

    #[test]
    fn values_are_said_once_for_modules_that_are_called_alike() {
        let modules = names(&["a.0.q", "a.1.q", "a.0.v", "a.1.v"]);
        let of = |name: &str| {
            if name.ends_with('q') {
                2
            } else if name == "a.1.v" {
                3
            } else {
                1
            }
        };
        let map = values(&modules, &BTreeSet::new(), 1, of);
        assert_eq!(map, BTreeMap::from([("q".to_owned(), 2), ("a.1.v".to_owned(), 3)]));
    }
}
