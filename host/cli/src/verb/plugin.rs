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
use retune_schema::describe::{Setting, sentence, settings};

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
        "total_s" => "seconds all its calls in a run may take",
        "words_mib" => "log lines, reasons and names it may say in a run",
        "readback_mib" => "tensor data it may read in a call",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
