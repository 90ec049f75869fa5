//! An attack laid over an honest plugin.
//!
//! A form of the attack replaces the honest one of the same name: of a text, a global or a function, or what it is
//! exported as. What it does not name stays honest. Imports are not written down: `call $tensor.sum` imports it.

use std::collections::BTreeMap;

use crate::macros::{escaped, forms, text};

/// The first byte of memory that holds a text; null is below.
const FIRST: usize = 1024;

/// One core module.
#[derive(Debug)]
pub struct Layers {
    named: BTreeMap<String, String>,
    order: Vec<String>,
}

impl Layers {
    /// The layers on top of one another, the first one at the bottom.
    pub fn of(layers: &[&str]) -> Result<Self, String> {
        let mut all = Self { named: BTreeMap::new(), order: Vec::new() };
        for layer in layers {
            for form in forms(layer)? {
                let name = name(&form).unwrap_or_else(|| form.clone());
                if all.named.insert(name.clone(), form).is_none() {
                    all.order.push(name);
                }
            }
        }
        Ok(all)
    }

    /// Interfaces of the contract whose functions it exports.
    pub fn exports(&self) -> Vec<&str> {
        let mut found: Vec<&str> =
            self.order.iter().filter_map(|name| name.split_once('#')).map(|(at, _)| at).collect();
        found.retain(|name| !name.starts_with("cabi_post_"));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The text of the module. `import` gives the form that imports what is called by a name, `expanded` the full name
    /// of an export.
    pub fn module(
        &self,
        import: impl Fn(&str) -> Option<String>,
        expanded: impl Fn(&str) -> String,
    ) -> Result<String, String> {
        let (mut place, mut body) = (FIRST, String::new());
        for name in &self.order {
            let form = &self.named[name];
            match text(form) {
                Some(made) => {
                    let (name, bytes) = made?;
                    body.push_str(&format!("(data (i32.const {place}) {})\n", escaped(&bytes)));
                    body.push_str(&format!("(global {name} i32 (i32.const {place}))\n"));
                    body.push_str(&format!("(global {name}.len i32 (i32.const {}))\n", bytes.len()));
                    place = (place + bytes.len()).next_multiple_of(16);
                }
                None if name.contains('#') => {
                    body.push_str(&form.replacen(&format!("\"{name}\""), &format!("\"{}\"", expanded(name)), 1));
                    body.push('\n');
                }
                None => body.push_str(&format!("{form}\n")),
            }
        }
        if !self.named.contains_key("memory") {
            body.push_str(&format!("(memory (export \"memory\") {})\n", place.div_ceil(64 << 10) + 1));
        }
        let imports: Vec<String> = called(&body).into_iter().filter_map(import).collect();
        Ok(format!("(module\n{}\n{body}(global $heap (mut i32) (i32.const {place}))\n)\n", imports.join("\n")))
    }
}

/// What a form is known by.
fn name(form: &str) -> Option<String> {
    if form.starts_with("(start") {
        return Some("start".into());
    }
    let words = form.split_whitespace().nth(1)?;
    if let Some(at) = form.find("(export \"").filter(|at| form[..*at].matches('(').count() == 1) {
        return form[at + 9..].split('"').next().map(str::to_owned);
    }
    let name = words.starts_with('$').then(|| words.trim_end_matches(')'))?;
    Some(if form.starts_with("(func") { format!("func {name}") } else { name.to_owned() })
}

/// Names with a point in them that are called.
fn called(text: &str) -> Vec<&str> {
    let after = text.split("call $").skip(1);
    let names = after.map(|rest| rest.split(|c: char| c.is_whitespace() || c == ')').next().unwrap_or_default());
    let mut names: Vec<&str> = names.filter(|name| name.contains('.')).collect();
    names.sort_unstable();
    names.dedup();
    names
}
