//! Circles in a graph of imports: files that reach each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Imports;

/// Each circle as its imports, a line each: `a.rs -> b.rs (B)`.
pub fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (&**file, reached(imports, file))).collect();
    let both_ways = |a: &str, b: &str| {
        reach.get(a).is_some_and(|reached| reached.contains(b))
            && reach.get(b).is_some_and(|reached| reached.contains(a))
    };
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for file in imports.keys() {
        let circle: BTreeSet<&str> =
            imports.keys().map(|other| &**other).filter(|other| both_ways(file, other)).collect();
        if circle.is_empty() || !seen.insert(circle.clone()) {
            continue;
        }
        let lines = circle.iter().flat_map(|from| {
            let targets = imports.get(*from).into_iter().flatten().filter(|(to, _)| circle.contains(&***to));
            targets.map(move |(to, name)| format!("{from} -> {to} ({name})"))
        });
        circles.push(lines.collect());
    }
    circles
}

/// What a file imports, and what that imports, and so on.
fn reached<'a>(imports: &'a Imports, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&str> = imports.get(from).into_iter().flatten().map(|(to, _)| &**to).collect();
    while let Some(file) = waiting.pop() {
        if reached.insert(file) {
            waiting.extend(imports.get(file).into_iter().flatten().map(|(to, _)| &**to));
        }
    }
    reached
}
