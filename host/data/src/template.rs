//! A chat template, rendered as `transformers` renders it.
//!
//! `transformers` compiles templates with Jinja2 in a sandbox: `trim_blocks` and `lstrip_blocks`, loop controls,
//! `raise_exception`, `strftime_now`, a `tojson` that is Python's `json.dumps`, and a tag `{% generation %}` around what an
//! assistant says. Here minijinja does the work, with what differs between the two languages filled in. A date is
//! the one given, never the clock's, so that the same recipe makes the same rows on another day.
//!
//! What is inside `{% generation %}` is found by two characters that Unicode reserves for such use (U+FDD0, U+FDD1): they
//! are written around it and taken out again. Price: a conversation that holds one of them is refused.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use retune_roles::caught::caught;
use serde_json::Value as Json;

use crate::date::Date;
use crate::python;
use crate::stack::deep;

const OPEN: char = '\u{fdd0}';
const CLOSE: char = '\u{fdd1}';
const NAME: &str = "chat";

/// What a template may do for one conversation, in instructions and, 64 bytes each, in what it makes: less than a second, and
/// 128 MiB. A conversation of a hundred turns takes a hundredth.
const FUEL: u64 = 2 << 20;

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    /// Special tokens and the recipe's variables.
    constants: BTreeMap<String, Value>,
    marks: bool,
}

/// What a template wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// The whole text.
    pub text: String,
    /// Bytes of it that stood inside `{% generation %}`, in order.
    pub generated: Vec<Range<usize>>,
}

/// Why a template wrote nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is not a template.
    Syntax { line: usize, reason: String },
    /// It calls `raise_exception` on this conversation.
    Raised(String),
    /// It asks for the date, and none was given.
    Undated,
    /// It does something impossible on this conversation.
    Failed { line: usize, reason: String },
    /// The conversation holds a character that marks generations.
    Reserved(char),
}

impl Template {
    /// Compiles `source`; `constants` are names that every conversation sees.
    pub fn new(source: &str, constants: BTreeMap<String, Value>, date: Option<Date>) -> Result<Self, Trouble> {
        // As Jinja2's lexer: every kind of line end is one.
        let (source, marks) = with_marks(&source.replace("\r\n", "\n").replace('\r', "\n"));
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| Trouble::of(&error, true))?);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(method);
        environment.add_filter("tojson", python::tojson);
        environment.add_test("sequence", |value: &Value| {
            matches!(value.kind(), ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map)
        });
        environment.add_test("iterable", |value: &Value| {
            !matches!(value.kind(), ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Plain)
        });
        environment.add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Bool | ValueKind::Number));
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, "raised").with_source(Raised(message)))
        });
        environment.add_function("strftime_now", move |format: String| -> Result<String, Error> {
            let undated = || Error::new(ErrorKind::InvalidOperation, "no date").with_source(Undated);
            let date = date.ok_or_else(undated)?;
            date.format(&format).map_err(|reason| Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.set_formatter(|out, state, value| match python::shown(value)? {
            Some(text) => Ok(out.write_str(&text)?),
            None => minijinja::escape_formatter(out, state, value),
        });
        environment.add_filter("string", |value: &Value| -> Result<String, Error> {
            Ok(python::shown(value)?.unwrap_or_else(|| value.to_string()))
        });
        environment.add_template_owned(NAME, source).map_err(|error| Trouble::of(&error, true))?;
        Ok(Self { environment, constants, marks })
    }

    /// Whether it says by `{% generation %}` what an assistant says.
    pub fn marks(&self) -> bool {
        self.marks
    }

    /// The text of a conversation; `tools` is null where there are none, and `prompt` asks for the beginning of
    /// the assistant's next turn.
    pub fn render(&self, messages: &[Value], tools: &Value, prompt: bool) -> Result<Rendered, Trouble> {
        let own = [
            ("messages", Value::from(messages.to_vec())),
            ("tools", tools.clone()),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(prompt)),
        ];
        let constants = self.constants.iter().map(|(name, value)| (name.clone(), value.clone()));
        let names = own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(constants);
        let context: Value = names.collect::<BTreeMap<_, _>>().into();
        let template = self.environment.get_template(NAME).map_err(|error| Trouble::of(&error, true))?;
        // Values are dropped there too, and errors, which hold some.
        let written = deep(|| caught(|| template.render(context).map_err(|error| Trouble::of(&error, false))));
        let failed = |reason: String| Err(Trouble::Failed { line: 1, reason });
        let text = written
            .unwrap_or_else(|| Ok(failed("there is no memory for the stack of a thread".to_owned())))
            .unwrap_or_else(|reason| failed(format!("the library that renders it gave up: {reason}")))?;
        Ok(if self.marks { without_marks(&text) } else { Rendered { text, generated: Vec::new() } })
    }

    /// A message or a tool as the template sees it.
    pub fn value(&self, json: &Json) -> Result<Value, Trouble> {
        match reserved(json).filter(|_| self.marks) {
            Some(c) => Err(Trouble::Reserved(c)),
            None => Ok(Value::from(Serde(json))),
        }
    }
}

impl Trouble {
    fn of(error: &Error, compiling: bool) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut innermost = error;
        while let Some(error) = cause {
            if let Some(Raised(message)) = error.downcast_ref() {
                return Self::Raised(message.clone());
            }
            if error.is::<Undated>() {
                return Self::Undated;
            }
            innermost = error.downcast_ref().unwrap_or(innermost);
            cause = error.source();
        }
        let line = innermost.line().unwrap_or(1);
        if innermost.kind() == ErrorKind::OutOfFuel {
            let reason =
                format!("it does not come to an end within {FUEL} steps and {} MiB for one conversation", FUEL >> 14);
            return Self::Failed { line, reason };
        }
        let reason = innermost.detail().map_or_else(|| innermost.kind().to_string(), str::to_owned);
        if compiling { Self::Syntax { line, reason } } else { Self::Failed { line, reason } }
    }
}

/// What `raise_exception` was given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// The template asks for the date.
#[derive(Debug, thiserror::Error)]
#[error("no date")]
struct Undated;

/// A name that no template has.
const GENERATION: &str = "__retune_generation";

/// `{% generation %} … {% endgeneration %}` as a scope of its own, which is what Jinja2's extension makes of it, with a mark at
/// each end: whitespace control of the tag stands at its outer ends. And whether there is one.
fn with_marks(source: &str) -> (String, bool) {
    let (mut out, mut rest, mut found) = (String::with_capacity(source.len()), source, false);
    while let Some(at) = rest.find("{%") {
        let inside = &rest[at + 2..];
        let Some(end) = inside.find("%}") else { break };
        let tag = &inside[..end];
        let (left, word, right) = parts(tag);
        out.push_str(&rest[..at]);
        match word {
            "generation" => {
                found = true;
                out.push_str(&format!(
                    "{{%{left} with {GENERATION} = 0 %}}{{{{ '{OPEN}' }}}}{{% set {GENERATION} = 1 {right}%}}"
                ));
            }
            "endgeneration" => {
                out.push_str(&format!("{{%{left} set {GENERATION} = 2 %}}{{{{ '{CLOSE}' }}}}{{% endwith {right}%}}"));
            }
            _ => {
                // A tag may hold a string with the end of a tag in it; what follows is looked at anew.
                out.push_str("{%");
                rest = inside;
                continue;
            }
        }
        rest = &inside[end + 2..];
    }
    out.push_str(rest);
    (out, found)
}

/// Whitespace control on the left, the words of a tag, whitespace control on the right.
fn parts(tag: &str) -> (&str, &str, &str) {
    let (left, tag) = if tag.starts_with(['-', '+']) { tag.split_at(1) } else { ("", tag) };
    let (tag, right) = if tag.ends_with(['-', '+']) { tag.split_at(tag.len() - 1) } else { (tag, "") };
    (left, tag.trim(), right)
}

/// Takes the marks out and says where they stood; of marks inside one another, the outer ones.
fn without_marks(text: &str) -> Rendered {
    let (mut out, mut generated, mut open) = (String::with_capacity(text.len()), Vec::new(), Vec::new());
    for c in text.chars() {
        match c {
            OPEN => open.push(out.len()),
            CLOSE => {
                if let (Some(start), true) = (open.pop(), open.is_empty()) {
                    generated.push(start..out.len());
                }
            }
            c => out.push(c),
        }
    }
    Rendered { text: out, generated }
}

/// The first character of a value that marks are made of.
fn reserved(value: &Json) -> Option<char> {
    match value {
        Json::String(text) => text.chars().find(|&c| c == OPEN || c == CLOSE),
        Json::Array(items) => items.iter().find_map(reserved),
        Json::Object(members) => members.values().find_map(reserved),
        _ => None,
    }
}

/// Methods of Python's strings and dictionaries.
fn method(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let given = |at: usize| args.get(at).and_then(Value::as_str);
    let Some(text) = value.as_str() else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args);
    };
    let triple = |a: &str, b: &str, c: &str| Value::from(vec![Value::from(a), Value::from(b), Value::from(c)]);
    Ok(match (method, given(0)) {
        ("removeprefix", Some(part)) => Value::from(text.strip_prefix(part).unwrap_or(text)),
        ("removesuffix", Some(part)) => Value::from(text.strip_suffix(part).unwrap_or(text)),
        ("partition", Some(part)) => match text.split_once(part) {
            Some((before, after)) => triple(before, part, after),
            None => triple(text, "", ""),
        },
        ("rpartition", Some(part)) => match text.rsplit_once(part) {
            Some((before, after)) => triple(before, part, after),
            None => triple("", "", text),
        },
        ("rsplit", Some(part)) => {
            let most = args.get(1).and_then(Value::as_usize).map_or(usize::MAX, |most| most.saturating_add(1));
            let mut pieces: Vec<&str> = text.rsplitn(most, part).collect();
            pieces.reverse();
            Value::from(pieces.into_iter().map(Value::from).collect::<Vec<_>>())
        }
        _ => return minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    })
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
