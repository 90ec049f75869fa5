//! What one file imports, read from its tokens.

use std::collections::BTreeMap;

/// A path as its segments: `crate::a::B` is `["crate", "a", "B"]`.
pub type Segments = Vec<String>;

/// One source file.
#[derive(Debug)]
pub struct Source {
    /// Where it is, below the checkout.
    pub file: String,
    /// Paths to other modules of its crate.
    pub imports: Vec<Segments>,
    /// Names that it hands on (`pub use`), and where they come from.
    pub handed_on: BTreeMap<String, Segments>,
}

impl Source {
    /// Reads a file's text.
    pub fn read(file: String, text: &str) -> Self {
        let tokens = without_tests(tokens(text));
        let children: Vec<String> = tokens
            .windows(3)
            .filter(|window| window[0] == "mod" && window[2] == ";")
            .map(|window| window[1].clone())
            .collect();
        let local = |first: &String| matches!(first.as_str(), "crate" | "super" | "self") || children.contains(first);
        let mut source = Self { file, imports: Vec::new(), handed_on: BTreeMap::new() };
        let mut at = 0;
        while at < tokens.len() {
            // `impl Trait + use<'a>` is no import.
            if tokens[at] != "use" || tokens.get(at + 1).is_some_and(|next| next == "<") {
                // A path in an expression or a type.
                let begins = at == 0 || tokens[at - 1] != "::";
                if begins && local(&tokens[at]) && tokens.get(at + 1).is_some_and(|next| next == "::") {
                    let mut path = vec![tokens[at].clone()];
                    while tokens.get(at + 1).is_some_and(|next| next == "::") && at + 2 < tokens.len() {
                        path.push(tokens[at + 2].clone());
                        at += 2;
                    }
                    source.imports.push(path);
                }
                at += 1;
                continue;
            }
            // `pub use` and `pub(crate) use`.
            let public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            let mut leaves = Vec::new();
            at = tree(&tokens, at + 1, &mut Vec::new(), &mut leaves);
            for (name, path) in leaves.into_iter().filter(|(_, path)| path.first().is_some_and(local)) {
                if public {
                    source.handed_on.insert(name, path);
                } else {
                    // Seen by the modules below this one, too.
                    source.handed_on.entry(name).or_insert_with(|| path.clone());
                    source.imports.push(path);
                }
            }
        }
        source
    }
}

/// Reads the tree of a `use` from `at` on, and gives where it ends. A leaf is a name and its path.
fn tree(tokens: &[String], mut at: usize, path: &mut Segments, leaves: &mut Vec<(String, Segments)>) -> usize {
    let depth = path.len();
    while at < tokens.len() {
        match tokens[at].as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" && tokens[at] != ";" {
                    at = tree(tokens, at, path, leaves);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                path.truncate(depth);
                return at + 1;
            }
            ";" | "," | "}" => break,
            "as" => {
                let alias = tokens.get(at + 1).cloned().unwrap_or_default();
                leaves.push((alias, path.clone()));
                path.truncate(depth);
                return at + 2;
            }
            segment => {
                path.push(segment.to_owned());
                at += 1;
            }
        }
    }
    if path.len() > depth {
        // `a::{self}` is a name of `a`.
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        leaves.push((path.last().cloned().unwrap_or_default(), path.clone()));
    }
    path.truncate(depth);
    at
}

/// The tokens without what stands behind `#[cfg(test)]`: a block, or an item up to its semicolon.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().map(String::as_str).take(MARK.len()).eq(MARK) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut open = 0usize;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" => open += 1,
                "}" => open = open.saturating_sub(1),
                _ => {}
            }
            let token = &tokens[at];
            at += 1;
            if open == 0 && (token == ";" || token == "}") {
                break;
            }
        }
    }
    kept
}

/// Words, `::`, and other characters one by one; without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = string(rest) {
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else if c.is_alphanumeric() || c == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// How long the string or character is that `text` begins with, if it begins with one.
fn string(text: &str) -> Option<usize> {
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r'));
    if let Some(raw) = raw {
        let marks = raw.len() - raw.trim_start_matches('#').len();
        if raw[marks..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(marks));
            let opened = text.len() - raw.len() + marks + 1;
            return Some(text[opened..].find(&close).map_or(text.len(), |end| opened + end + close.len()));
        }
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut characters = text.char_indices().skip(1);
    let mut count = 0;
    while let Some((at, c)) = characters.next() {
        if c == quote {
            return Some(at + 1);
        }
        count += 1;
        if c == '\\' {
            // What is escaped ends nothing; `\u{..}` is longer than a character.
            let (_, escaped) = characters.next()?;
            if quote == '\'' && matches!(escaped, 'u' | 'x') {
                return text[at..].find('\'').map(|end| at + end + 1);
            }
        } else if quote == '\'' && count > 1 {
            // A lifetime.
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_names_is_read_to_its_leaves() {
        let source = Source::read(
            String::new(),
            "use crate::{a::{self, B}, c::D as E};\nuse super::f::*;\npub(crate) use self::g::H;",
        );
        let paths: Vec<String> = source.imports.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["crate::a", "crate::a::B", "crate::c::D", "super::f::*"]);
        assert_eq!(source.handed_on["H"].join("::"), "self::g::H");
        assert_eq!(source.handed_on["E"].join("::"), "crate::c::D");
    }

    #[test]
    fn strings_characters_and_lifetimes_are_told_apart() {
        let words = |text: &str| tokens(text).join(" ");
        assert_eq!(words("f('a', '\\'', '\\u{7f}', \"b\\\"c\", r#\"d\"e\"#) // g"), "f ( , , , , )");
        assert_eq!(words("fn f<'a>(x: &'a str) -> b::C"), "fn f < ' a > ( x : & ' a str ) - > b :: C");
    }
}
