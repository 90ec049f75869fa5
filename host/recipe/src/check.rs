//! A recipe's values checked against its schema, and told in the recipe's words: every
//! error where it stands, with the nearest key, the allowed values, or what to write.

use std::sync::LazyLock;

use retune_roles::nearest::nearest;
use retune_schema::navigate::{at, property_at};
use retune_schema::{ConfigError, Problem, Validator, faults, shown};
use serde_json::Value as Json;

use crate::diagnostic::{Diagnostic, listed};
use crate::foreign::{Meaning, meaning, task};
use crate::place::{Place, child, deepest};
use crate::problems::Problems;
use crate::reference;
use crate::schema::schema;
use crate::written::Written;

/// The key on which depends what others mean.
const TASK: [&str; 2] = ["model", "task"];

/// Reports everything in `written` that is not as the schema has it, and takes it out, so
/// that the rest can be read.
pub fn check(written: &mut Written, problems: &mut Problems) {
    static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| retune_schema::compile(schema()).ok());
    let Some(validator) = VALIDATOR.as_ref() else {
        return problems.push(0, 0..0, "", Diagnostic::new("the schema of recipes is not a JSON Schema"));
    };
    let errors = faults(schema(), validator, &Json::Object(written.values.clone()));
    for error in &errors {
        report(error, written, problems);
    }
    for error in errors.iter().filter(|error| !matches!(error.problem, Problem::MissingKey { .. })) {
        let pointer = pointer(&error.path);
        written.remove(&pointer);
        // What is no table has no keys that rules could miss, and of a task that is not known they have nothing to say.
        if matches!(&error.problem, Problem::WrongType { expected, .. } if expected == "a table") || error.path == TASK
        {
            written.places.remove(&pointer);
        }
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().fold(String::new(), |pointer, key| child(&pointer, key))
}

fn report(error: &ConfigError, written: &Written, problems: &mut Problems) {
    let start = Place { source: 0, key: 0..0, value: 0..0 };
    let place = deepest(&written.places, &pointer(&error.path)).unwrap_or(&start);
    let full = error.shown_path();
    let property = property_at(schema(), &error.path).unwrap_or(&Json::Null);
    let described = at(schema(), &error.path);
    let says = |name: &str| property.get(name).or_else(|| described.get(name)).and_then(Json::as_str);
    let write =
        || says("x-write").map(|text| if text.starts_with("add ") { text.to_owned() } else { format!("write {text}") });
    match &error.problem {
        Problem::UnknownKey { known } => unknown(&error.path, known, place, problems),
        Problem::MissingKey { .. } => {
            let (key, parent) = error.path.split_last().map_or(("", &[][..]), |(key, parent)| (key.as_str(), parent));
            let section = if parent.is_empty() { "the recipe".to_owned() } else { format!("[{}]", shown(parent)) };
            let help = write().or_else(|| error.help());
            problems.add(place, format!("`{key}` is missing in {section}"), "needed here", help);
        }
        Problem::WrongType { given, expected } if expected == "a table" => {
            let keys = described.get("properties").and_then(Json::as_object);
            let keys = keys.map(|keys| format!("its keys: {}", listed(keys.keys().map(String::as_str))));
            let message = format!("`{full}` must be a table, not {}", kind(given));
            problems.add(place, message, "not a table", write().or(keys));
        }
        Problem::WrongType { given, expected } => {
            let several = described.get("anyOf").or_else(|| described.get("oneOf")).is_some();
            let expected = match says("x-kind").filter(|_| several) {
                Some(kind) if kind.starts_with(char::is_alphabetic) => format!("a {kind}"),
                Some(kind) => kind.to_owned(),
                None => expected.clone(),
            };
            let about = || {
                let key = reference::key(&error.path)?;
                Some(format!("{}: {} — {}", key.name, key.kind, key.about))
            };
            let message = format!("`{full}` must be {expected}, not {}", kind(given));
            problems.add(place, message, format!("expected {expected}"), write().or_else(about));
        }
        Problem::NotAllowed { given, allowed } => {
            let theirs = given.as_str().filter(|_| error.path == TASK).and_then(task);
            let label = match theirs.or(error.near()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "not one of the allowed values".to_owned(),
            };
            let allowed: Vec<String> =
                allowed.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect();
            let allowed = format!("allowed: {}", listed(allowed.iter().map(String::as_str)));
            problems.add(place, format!("`{full}` cannot be {}", quoted(given)), label, Some(allowed));
        }
        Problem::OutOfRange { given, range } => {
            let about = reference::key(&error.path).map(|key| {
                let default = if key.required { String::new() } else { format!(" Left out, it is {}.", key.default) };
                format!("{}: {}{default}", key.name, key.about)
            });
            problems.add(place, format!("`{full}` is {given}; it must be {range}"), range.as_str(), about);
        }
        Problem::WrongForm { given } if given == "" => {
            problems.add(place, format!("`{full}` is empty"), "expected some text", write());
        }
        Problem::WrongForm { given } => {
            // What stands between marks is a value that is allowed.
            let names: Vec<&str> =
                says("x-write").into_iter().flat_map(|texts| texts.split('`').skip(1).step_by(2)).collect();
            let near = || given.as_str().and_then(|given| nearest(given, names.iter().copied()));
            let label = match (says("x-form"), near()) {
                (Some(form), _) => form.to_owned(),
                (None, Some(near)) => format!("did you mean `{near}`?"),
                (None, None) if !names.is_empty() => "not one of the allowed values".to_owned(),
                (None, None) => "not of the form it must have".to_owned(),
            };
            let allowed = says("x-write").map(|texts| format!("allowed: {texts}"));
            problems.add(place, format!("`{full}` cannot be {}", quoted(given)), label, allowed);
        }
        Problem::Other { message, help } => problems.add(place, format!("`{full}`: {message}"), "here", help.clone()),
    }
}

/// A key that does not exist: the one that was meant, where it belongs, or that it is not supported.
fn unknown(path: &[String], known: &[String], place: &Place, problems: &mut Problems) {
    let Some((name, parent)) = path.split_last() else { return };
    let here = reference::section_of(parent);
    let foreign = meaning(name);
    let near = || nearest(name, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
    let mut help = Vec::new();
    let label = match &foreign {
        Some(Meaning::Key(key)) => {
            let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
            if section == here {
                Some(format!("did you mean `{key}`?"))
            } else {
                help.push(format!("`{name}` is called `{key}` here, and stands {}", standing(section)));
                None
            }
        }
        Some(Meaning::Write(example)) => {
            help.push(format!("write {example}"));
            None
        }
        Some(Meaning::NotYet(what)) => {
            help.push(format!("`{name}`: {what} not supported yet"));
            Some("not supported yet".to_owned())
        }
        Some(Meaning::Always(what)) => {
            help.push(format!("`{name}`: {what}"));
            None
        }
        None => {
            let elsewhere: Vec<String> = reference::sections_with(name, &here).into_iter().map(standing).collect();
            if !elsewhere.is_empty() {
                help.push(format!("`{name}` belongs {}", elsewhere.join(" or ")));
            }
            near()
        }
    };
    help.push(format!("keys here: {}", listed(known.iter().map(String::as_str))));
    let section = if parent.is_empty() { "at the top level".to_owned() } else { format!("in [{}]", shown(parent)) };
    let diagnostic = Diagnostic::new(format!("unknown key `{name}` {section}")).help(help.join("\n"));
    let label = label.unwrap_or_else(|| "not a key here".to_owned());
    problems.push(place.source, place.key.clone(), label, diagnostic);
}

fn standing(section: &str) -> String {
    if section.is_empty() { "at the top level".to_owned() } else { format!("in [{section}]") }
}

fn quoted(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"))
}

/// What a value is, in words.
fn kind(value: &Json) -> &'static str {
    match value {
        Json::String(_) => "a string",
        Json::Number(number) if number.is_f64() => "a number",
        Json::Number(_) => "a whole number",
        Json::Bool(_) => "a boolean",
        Json::Array(_) => "a list",
        Json::Object(_) => "a table",
        Json::Null => "nothing",
    }
}
