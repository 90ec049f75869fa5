//! A TOML table read key by key, every problem collected.
//!
//! A [`Section`] hands out typed values; what is missing, of the wrong type or out
//! of range becomes a diagnostic with its place, and reading goes on, so that one
//! run reports all of them. `close` complains about keys nobody asked for.
//! Invariant: a key that is read stands in the [`schema`], checked in debug builds.

use std::cell::RefCell;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::At;
use crate::diagnostic::listed;
use crate::diagnostic::{Diagnostic, Text};
use crate::schema;
use crate::value::{Node, kind};
use retune_roles::nearest::nearest;

/// Where problems are gathered.
pub struct Problems<'t> {
    text: &'t Text,
    found: RefCell<Vec<(usize, Diagnostic)>>,
}

impl<'t> Problems<'t> {
    /// None yet.
    pub fn new(text: &'t Text) -> Self {
        Self { text, found: RefCell::default() }
    }

    /// Adds one that stands at `span`; more lines of help may follow.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, label: impl Into<String>, help: Option<String>) {
        let diagnostic = Diagnostic::new(message).at(self.text, span.clone(), label).help_some(help);
        self.found.borrow_mut().push((span.start, diagnostic));
    }

    /// Whether nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All of them, in the order of the file.
    pub fn into_diagnostic(self) -> Option<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(start, _)| *start);
        Diagnostic::all(found.into_iter().map(|(_, diagnostic)| diagnostic).collect())
    }
}

/// A table being read.
pub struct Section<'a, 'p> {
    /// As the schema names it.
    name: &'static str,
    /// As errors name it: `data.preprocess[0]`.
    path: String,
    table: &'a DeTable<'a>,
    /// The table's header, for what is missing.
    span: Range<usize>,
    seen: Vec<&'static str>,
    problems: &'p Problems<'p>,
}

impl<'a, 'p> Section<'a, 'p> {
    /// Opens the whole document.
    pub fn root(table: &'a DeTable<'a>, problems: &'p Problems<'p>) -> Self {
        Self { name: "", path: String::new(), table, span: 0..0, seen: Vec::new(), problems }
    }

    /// Opens `node`, which errors call `path`, with the keys of schema section `name`.
    pub fn open(name: &'static str, path: String, node: &'a Node<'a>, problems: &'p Problems<'p>) -> Option<Self> {
        match node.get_ref() {
            DeValue::Table(table) => Some(Self { name, path, table, span: node.span(), seen: Vec::new(), problems }),
            other => {
                let keys = listed(schema::keys_of(name).map(|k| k.name));
                problems.add(
                    node.span(),
                    format!("`{path}` must be a table, not {}", kind(other)),
                    "not a table",
                    Some(format!("its keys: {keys}")),
                );
                None
            }
        }
    }

    /// Where the section stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The problems, to add to.
    pub fn problems(&self) -> &'p Problems<'p> {
        self.problems
    }

    /// The full name of `key`, as errors say it.
    pub fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The raw value of `key`.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node<'a>> {
        debug_assert!(schema::keys_of(self.name).any(|k| k.name == key), "{}.{key} is not in the schema", self.name);
        self.seen.push(key);
        self.table.get(key)
    }

    /// A section inside this one.
    pub fn section(&mut self, key: &'static str, name: &'static str) -> Option<Section<'a, 'p>> {
        let path = self.full(key);
        let node = self.node(key)?;
        Section::open(name, path, node, self.problems)
    }

    /// Complains that `key` is missing; `instead` says what to write.
    pub fn missing(&self, key: &str, instead: &str) {
        let place = if self.path.is_empty() { "the recipe".to_owned() } else { format!("[{}]", self.path) };
        self.problems.add(
            self.span.clone(),
            format!("`{key}` is missing in {place}"),
            "needed here",
            Some(instead.to_owned()),
        );
    }

    fn wrong(&self, key: &str, node: &Node<'_>, expected: &str) {
        let about =
            schema::keys_of(self.name).find(|k| k.name == key).map(|k| format!("{key}: {} — {}", k.kind, k.about));
        let given = node.get_ref();
        self.problems.add(
            node.span(),
            format!("`{}` must be {expected}, not {}", self.full(key), kind(given)),
            format!("expected {expected}"),
            about,
        );
    }

    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<At<String>> {
        let node = self.node(key)?;
        match node.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                self.problems.add(node.span(), format!("`{}` is empty", self.full(key)), "expected some text", None);
                None
            }
            DeValue::String(text) => Some(At::new(text.to_string(), node.span())),
            _ => {
                self.wrong(key, node, "a string");
                None
            }
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        let node = self.node(key)?;
        match node.get_ref() {
            DeValue::Boolean(value) => Some(At::new(*value, node.span())),
            _ => {
                self.wrong(key, node, "true or false");
                None
            }
        }
    }

    /// A whole number of at least `least`.
    pub fn whole(&mut self, key: &'static str, least: u64) -> Option<At<u64>> {
        let node = self.node(key)?;
        let DeValue::Integer(number) = node.get_ref() else {
            self.wrong(key, node, "a whole number");
            return None;
        };
        // The upper bound keeps every whole number exact in TOML, JSON and the engine's i64.
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if u64::try_from(value).is_ok_and(|v| v >= least) => {
                Some(At::new(value.unsigned_abs(), node.span()))
            }
            _ => {
                self.out_of_range(key, node, &number.to_string(), &format!("at least {least}"));
                None
            }
        }
    }

    /// A whole number of at least `least` that fits 32 bits.
    pub fn whole32(&mut self, key: &'static str, least: u32) -> Option<At<u32>> {
        let value = self.whole(key, u64::from(least))?;
        match u32::try_from(*value) {
            Ok(small) => Some(value.map(|_| small)),
            Err(_) => {
                let span = value.span().unwrap_or_default();
                self.problems.add(
                    span,
                    format!("`{}` is {}, which is too large", self.full(key), *value),
                    format!("at most {}", u32::MAX),
                    None,
                );
                None
            }
        }
    }

    /// A number for which `fits` holds; `range` says so in words.
    pub fn number(&mut self, key: &'static str, range: &str, fits: impl Fn(f64) -> bool) -> Option<At<f64>> {
        let node = self.node(key)?;
        let (text, value) = match node.get_ref() {
            DeValue::Float(number) => (number.to_string(), number.as_str().parse::<f64>().ok()),
            DeValue::Integer(number) => {
                (number.to_string(), i64::from_str_radix(number.as_str(), number.radix()).ok().map(|v| v as f64))
            }
            _ => {
                self.wrong(key, node, "a number");
                return None;
            }
        };
        match value {
            Some(value) if value.is_finite() && fits(value) => Some(At::new(value, node.span())),
            _ => {
                self.out_of_range(key, node, &text, range);
                None
            }
        }
    }

    fn out_of_range(&self, key: &str, node: &Node<'_>, given: &str, range: &str) {
        let about = schema::keys_of(self.name).find(|k| k.name == key).map(|k| match k.default {
            "required" => format!("{key}: {}", k.about),
            default => format!("{key}: {} Left out, it is {default}.", k.about),
        });
        self.problems.add(node.span(), format!("`{}` is {given}; it must be {range}", self.full(key)), range, about);
    }

    /// One of `allowed`.
    pub fn choice<T: Copy>(&mut self, key: &'static str, allowed: &[(&'static str, T)]) -> Option<At<T>> {
        let full = self.full(key);
        let node = self.node(key)?;
        let names = || allowed.iter().map(|(name, _)| *name);
        let DeValue::String(text) = node.get_ref() else {
            self.wrong(key, node, "a string");
            return None;
        };
        if let Some((_, value)) = allowed.iter().find(|(name, _)| *name == text.as_ref()) {
            return Some(At::new(*value, node.span()));
        }
        let label = match nearest(text, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "not one of the allowed values".to_owned(),
        };
        self.problems.add(
            node.span(),
            format!("`{full}` cannot be `{text}`"),
            label,
            Some(format!("allowed: {}", listed(names()))),
        );
        None
    }

    /// A list, each element with its path.
    pub fn list(&mut self, key: &'static str) -> Vec<(String, &'a Node<'a>)> {
        let full = self.full(key);
        let Some(node) = self.node(key) else { return Vec::new() };
        match node.get_ref() {
            DeValue::Array(items) => items.iter().enumerate().map(|(i, item)| (format!("{full}[{i}]"), item)).collect(),
            _ => {
                self.wrong(key, node, "a list");
                Vec::new()
            }
        }
    }

    /// A list of strings; one string alone counts as a list of one when `single`.
    pub fn strings(&mut self, key: &'static str, single: bool) -> Option<At<Vec<At<String>>>> {
        let node = self.table.get(key)?;
        if single && node.get_ref().is_str() {
            let one = self.string(key)?;
            let span = node.span();
            return Some(At::new(vec![one], span));
        }
        let mut found = Vec::new();
        for (path, item) in self.list(key) {
            match item.get_ref() {
                DeValue::String(text) => found.push(At::new(text.to_string(), item.span())),
                other => self.problems.add(
                    item.span(),
                    format!("`{path}` must be a string, not {}", kind(other)),
                    "expected a string",
                    None,
                ),
            }
        }
        Some(At::new(found, node.span()))
    }

    /// Complains about every key nobody asked for.
    pub fn close(self) {
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if self.seen.contains(&name) {
                continue;
            }
            let known: Vec<&str> = schema::keys_of(self.name).map(|k| k.name).collect();
            let label = schema::synonym(name)
                .filter(|ours| known.contains(ours))
                .or_else(|| nearest(name, known.iter().copied()))
                .map_or_else(|| "not a key here".to_owned(), |near| format!("did you mean `{near}`?"));
            let elsewhere: Vec<String> = schema::sections_with(name, self.name)
                .into_iter()
                .map(|s| if s.is_empty() { "at the top level".to_owned() } else { format!("in [{s}]") })
                .collect();
            let mut help = format!("keys here: {}", listed(known.iter().copied()));
            if !elsewhere.is_empty() {
                help = format!("`{name}` belongs {}\n{help}", elsewhere.join(" or "));
            } else if let Some(ours) = schema::synonym(name).filter(|ours| !known.contains(ours)) {
                let section = schema::sections_with(ours, self.name).first().copied().unwrap_or_default();
                help = format!("`{name}` is called `{ours}` here, and stands in [{section}]\n{help}");
            }
            let place =
                if self.path.is_empty() { "at the top level".to_owned() } else { format!("in [{}]", self.path) };
            self.problems.add(key.span(), format!("unknown key `{name}` {place}"), label, Some(help));
        }
    }
}
