//! `retune plugin inspect`: what a component is and can be told.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use retune_sandbox::{Limits, Plugin, Sandbox};
use serde_json::{Value as Json, json};

use crate::stdout;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_run::machine;
use retune_run::words::{bytes, count};

/// Arguments of `retune plugin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show roles, settings, imports, size and digest of a component
    Inspect {
        /// The component
        plugin: PathBuf,
        /// Print JSON instead of a page
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Verb::Inspect { plugin: path, json } = &args.verb;
    let plugin = load(path)?;
    let schema = plugin.schema()?;
    if *json {
        stdout::line(format!("{:#}", as_json(&plugin, &schema)));
    } else {
        stdout::text(harmless(&page(&plugin, &schema)));
    }
    Ok(ExitCode::SUCCESS)
}

fn load(path: &Path) -> Result<Plugin> {
    std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    let sandbox = Sandbox::new(machine::cache_directory().as_deref())
        .map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))?;
    sandbox.load(path).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))
}

fn as_json(plugin: &Plugin, schema: &Json) -> Json {
    json!({
        "name": plugin.name(),
        "path": plugin.path(),
        "sha256": plugin.digest(),
        "bytes": plugin.size(),
        "roles": plugin.roles(),
        "imports": plugin.imports(),
        "schema": schema,
        "default_limits": Limits::default(),
    })
}

fn page(plugin: &Plugin, schema: &Json) -> String {
    let roles: Vec<String> = plugin.roles().iter().map(ToString::to_string).collect();
    let mut out = format!(
        "{}\n  roles    {}\n  file     {}\n  size     {}\n  sha256   {}\n",
        plugin.name(),
        roles.join(", "),
        plugin.path().display(),
        bytes(plugin.size()),
        plugin.digest()
    );
    if let Some(about) = schema.get("description").and_then(Json::as_str) {
        out.push_str(&format!("\n  {}\n", sentence(about)));
    }
    out.push_str("\nsettings\n");
    let settings = settings(schema);
    if settings.is_empty() {
        out.push_str("  none\n");
    }
    let width = |f: fn(&Setting) -> &String| settings.iter().map(|s| f(s).chars().count()).max().unwrap_or(0);
    let (names, kinds, defaults) = (width(|s| &s.name), width(|s| &s.kind), width(|s| &s.default));
    for s in &settings {
        let line = format!("  {:names$}  {:kinds$}  {:defaults$}  {}", s.name, s.kind, s.default, s.about);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push_str("\nimports\n");
    for import in plugin.imports() {
        out.push_str(&format!("  {import}\n"));
    }
    out.push_str("\nlimits, unless the recipe sets others\n");
    if let Ok(Json::Object(limits)) = serde_json::to_value(Limits::default()) {
        let width = limits.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in limits {
            let shown = value.as_u64().map_or(value.to_string(), count);
            out.push_str(format!("  {name:width$}  {shown:>7}  {}", meaning(&name)).trim_end());
            out.push('\n');
        }
    }
    out
}

/// Without control characters: names and sentences come from the plugin, and one that moves the cursor could
/// write over its own roles and digest.
fn harmless(page: &str) -> String {
    page.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// What a limit bounds.
fn meaning(limit: &str) -> &'static str {
    match limit {
        "memory_mib" => "memory of the plugin",
        "table_elements" => "entries of its function tables",
        "instances" => "core modules it may be made of",
        "deadline_ms" => "time a call may take",
        "copy_mib" => "data it may hand over in a call",
        "handles" => "tensors and batches it may hold at a time",
        "tensor_mib" => "tensors it has made and not dropped",
        "readback_mib" => "tensor data it may read in a call",
        _ => "",
    }
}

/// A row of the settings table.
struct Setting {
    name: String,
    kind: String,
    default: String,
    about: String,
}

/// The properties of a JSON Schema, nested ones dotted.
fn settings(schema: &Json) -> Vec<Setting> {
    let mut rows = Vec::new();
    collect(schema, schema, "", &mut rows, 4);
    rows
}

fn collect(root: &Json, schema: &Json, prefix: &str, rows: &mut Vec<Setting>, depth: u8) {
    let schema = resolved(root, schema);
    let required: Vec<&str> =
        schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    for (key, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let key_shown = key.replace(char::is_control, "\u{fffd}");
        let name = if prefix.is_empty() { key_shown } else { format!("{prefix}.{key_shown}") };
        let target = resolved(root, property);
        let about = property
            .get("description")
            .or_else(|| target.get("description"))
            .and_then(Json::as_str)
            .unwrap_or_default();
        let default = match property.get("default") {
            Some(Json::Null) => "unset".to_owned(),
            Some(value) => format!("= {value}"),
            None if required.contains(&key.as_str()) => "required".to_owned(),
            None => "optional".to_owned(),
        };
        rows.push(Setting { name: name.clone(), kind: kind(root, target), default, about: sentence(about) });
        if depth > 0 && target.get("properties").is_some() {
            collect(root, target, &name, rows, depth - 1);
        }
    }
}

/// A doc comment as one line, without rustdoc's link marks.
fn sentence(about: &str) -> String {
    about.replace("[`", "`").replace("`]", "`").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Follows `$ref` inside the schema.
fn resolved<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    schema.get("$ref").and_then(Json::as_str).and_then(|r| root.pointer(r.strip_prefix('#')?)).unwrap_or(schema)
}

/// A type in words: `number 0 to 5`, `"nfc" | "nfkc"`.
fn kind(root: &Json, schema: &Json) -> String {
    let schema = resolved(root, schema);
    if let Some(values) = schema.get("enum").and_then(Json::as_array) {
        return values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(parts) = schema.get(key).and_then(Json::as_array) {
            let parts: Vec<String> = parts.iter().map(|part| kind(root, part)).filter(|k| k != "null").collect();
            return parts.join(" | ");
        }
    }
    let base = match schema.get("type") {
        Some(Json::String(name)) => name.clone(),
        Some(Json::Array(names)) => {
            names.iter().filter_map(Json::as_str).filter(|n| *n != "null").collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    };
    if base == "array" {
        return format!("list of {}", schema.get("items").map_or("any".to_owned(), |items| kind(root, items)));
    }
    let number = |key: &str| schema.get(key).and_then(Json::as_f64);
    let low = number("minimum").map(|v| format!("{v}")).or(number("exclusiveMinimum").map(|v| format!("above {v}")));
    let high = number("maximum").map(|v| format!("{v}")).or(number("exclusiveMaximum").map(|v| format!("below {v}")));
    match (low, high) {
        // schemars writes the range of the Rust type; only bounds a person set are worth the room.
        (Some(low), Some(high)) => format!("{base} {low} to {high}"),
        (Some(low), None) if low != "0" || base == "number" => format!("{base} from {low}"),
        (None, Some(high)) => format!("{base} to {high}"),
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_becomes_rows_with_type_range_default_and_sentence() {
        let schema = json!({
            "$defs": {"Form": {"oneOf": [{"const": "nfc"}, {"const": "nfkc"}]}},
            "required": ["steps"],
            "properties": {
                "gamma": {"type": "number", "minimum": 0.0, "maximum": 5.0, "default": 2.0, "description": "Focus on\n hard rows."},
                "form": {"$ref": "#/$defs/Form", "default": "nfc"},
                "steps": {"type": "array", "items": {"type": "integer"}},
                "alpha": {"type": ["number", "null"], "default": null},
            }
        });
        let rows: Vec<String> =
            settings(&schema).iter().map(|s| format!("{}|{}|{}|{}", s.name, s.kind, s.default, s.about)).collect();
        assert_eq!(
            rows,
            [
                "gamma|number 0 to 5|= 2.0|Focus on hard rows.",
                "form|\"nfc\" | \"nfkc\"|= \"nfc\"|",
                "steps|list of integer|required|",
                "alpha|number|unset|",
            ]
        );
    }

    #[test]
    fn a_setting_cannot_write_over_the_page() {
        assert_eq!(harmless("a\u{1b}[2K\rb\u{9b}1A\nc"), "a\u{fffd}[2K\u{fffd}b\u{fffd}1A\nc");
        let schema = json!({"properties": {"a\nsha256": {"description": "one\n two"}}});
        let row = &settings(&schema)[0];
        assert_eq!((row.name.as_str(), row.about.as_str()), ("a\u{fffd}sha256", "one two"), "a line is a line");
    }

    #[test]
    fn every_limit_has_a_meaning() {
        let limits = serde_json::to_value(Limits::default()).unwrap();
        for name in limits.as_object().unwrap().keys() {
            assert_ne!(meaning(name), "", "{name}");
        }
    }
}
