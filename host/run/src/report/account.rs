//! The sections of the page that say what a run was made of: data, roles, configuration.

use std::fmt::Write;

use retune_data::{DataReport, SplitName};

use super::svg::{bars, escape, short};
use crate::manifest::{FileFacts, Manifest};
use crate::words::{bytes, count};

/// Rows read, dropped and kept; lengths and labels.
pub fn data(report: &DataReport) -> String {
    let mut out = String::from(
        "<table><thead><tr><th>file</th><th>for</th><th class=\"n\">read</th><th class=\"n\">left out</th><th class=\"n\">dropped</th><th class=\"n\">kept</th></tr></thead><tbody>",
    );
    for s in &report.sources {
        let _ = write!(
            out,
            "<tr><td><code>{}</code></td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&s.path),
            s.split,
            count(s.read),
            count(s.limited),
            count(s.dropped_rows()),
            count(s.rows)
        );
    }
    out.push_str("</tbody></table>");
    let dropped: String = report
        .sources
        .iter()
        .flat_map(|s| s.dropped.iter().map(move |d| (s, d)))
        .map(|(s, d)| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
                s.split,
                escape(&d.stage),
                escape(&d.reason),
                count(d.count),
                escape(&d.keys.join(", "))
            )
        })
        .collect();
    if !dropped.is_empty() {
        let _ = write!(
            out,
            "<h3>Dropped rows</h3><table><thead><tr><th>from</th><th>by</th><th>reason</th><th class=\"n\">rows</th><th>for example</th></tr></thead><tbody>{dropped}</tbody></table>"
        );
    }
    out.push_str("<h3>Splits</h3><table><thead><tr><th>split</th><th class=\"n\">rows</th><th class=\"n\">examples</th><th class=\"n\">tokens</th><th class=\"n\">cut</th><th class=\"n\">longest</th></tr></thead><tbody>");
    for s in &report.splits {
        let _ = write!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            s.split,
            count(s.rows),
            count(s.examples),
            count(s.tokens),
            count(s.truncated),
            s.longest
        );
    }
    out.push_str("</tbody></table>");
    for (s, fill) in report.splits.iter().filter_map(|s| Some((s, s.fill?))) {
        let _ = write!(
            out,
            "<p>The {} rows of {} are packed into {} sequences, which are {:.1} % full.</p>",
            count(s.rows),
            s.split,
            count(s.examples),
            100.0 * fill
        );
    }
    for w in &report.warnings {
        let _ = write!(out, "<p class=\"note\">{}</p>", escape(w));
    }
    if let Some(train) = report.split(SplitName::Train) {
        out.push_str("<h3>Tokens of a training example</h3>");
        let lengths: Vec<(String, u64)> = train.lengths.iter().map(|b| (span(b.from, b.to), b.count)).collect();
        out.push_str(&bars("Tokens of a training example", &lengths));
        if !train.values.is_empty() {
            out.push_str(&values(report));
        }
        if train.unlabelled + train.several_labels > 0 {
            let _ = write!(
                out,
                "<p class=\"note\">{} of {} training rows have more than one label, {} have none</p>",
                count(train.several_labels),
                count(train.rows),
                count(train.unlabelled)
            );
        }
        if !train.labels.is_empty() {
            let rows: String = train
                .labels
                .iter()
                .map(|l| format!("<tr><td>{}</td><td class=\"n\">{}</td></tr>", escape(&l.label), count(l.count)))
                .collect();
            let _ = write!(
                out,
                "<details><summary>rows of each label</summary><table><tbody>{rows}</tbody></table></details>"
            );
        }
    }
    out
}

/// The numbers of a regression, split by split.
fn values(report: &DataReport) -> String {
    let mut out = String::from(
        "<h3>Numbers to predict</h3><table><thead><tr><th>number</th><th>split</th><th class=\"n\">smallest</th><th class=\"n\">mean</th><th class=\"n\">largest</th><th class=\"n\">deviation</th></tr></thead><tbody>",
    );
    for (split, value) in report.splits.iter().flat_map(|s| s.values.iter().map(move |value| (s.split, value))) {
        let _ = write!(out, "<tr><td>{}</td><td>{split}</td>", escape(&value.name));
        for number in [value.min, value.mean, value.max, value.std] {
            let _ = write!(out, "<td class=\"n\">{}</td>", short(number));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>");
    out
}

/// What played which role, with digests and settings.
pub fn roles(manifest: &Manifest) -> String {
    let mut out = String::from(
        "<table><thead><tr><th>role</th><th>name</th><th>sha256</th><th>settings</th></tr></thead><tbody>",
    );
    for r in &manifest.roles {
        let (origin, digest) = match &r.plugin {
            Some(file) => {
                (format!("<br><span class=\"note\">plugin, {}</span>", bytes(file.bytes)), short_digest(file))
            }
            None => ("<br><span class=\"note\">built in</span>".to_owned(), String::new()),
        };
        let _ = write!(
            out,
            "<tr><td>{}<br><span class=\"note\">{}</span></td><td>{}{origin}</td><td><code>{digest}</code></td><td><code>{}</code></td></tr>",
            escape(&r.role),
            escape(&r.path),
            escape(&r.name),
            escape(&r.config.to_string())
        );
    }
    out.push_str("</tbody></table>");
    out.push_str(&taken(manifest));
    out
}

/// What each plugin took of the machine.
fn taken(manifest: &Manifest) -> String {
    let rows: String = manifest
        .roles
        .iter()
        .filter_map(|role| Some((role, role.used?)))
        .map(|(role, used)| {
            let cells = [
                count(used.calls),
                format!("{:.1} s", used.seconds),
                bytes(used.memory),
                bytes(used.tensors),
                count(used.operations),
                bytes(used.read),
                bytes(used.words),
            ];
            let cells: String = cells.iter().map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
            format!("<tr><td>{}</td><td>{}</td>{cells}</tr>", escape(&role.path), escape(&role.name))
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = ["calls", "time", "most memory", "most tensors", "tensor operations", "tensor data read", "words"];
    let names: String = names.iter().map(|name| format!("<th class=\"n\">{name}</th>")).collect();
    format!(
        "<h3>What the plugins took</h3><table><thead><tr><th>role</th><th>plugin</th>{names}</tr></thead><tbody>{rows}</tbody></table>"
    )
}

/// Versions, files and the recipe.
pub fn configuration(manifest: &Manifest, recipe: &str) -> String {
    let mut out = format!(
        "<p>retune {}, seed {}, {}, {} cores, {}.</p>",
        escape(&manifest.retune),
        manifest.seed,
        escape(&manifest.hardware.device),
        manifest.hardware.cores,
        escape(&manifest.hardware.system)
    );
    let files: String = manifest
        .base
        .iter()
        .chain(&manifest.data)
        .map(|f| {
            format!(
                "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td><code>{}</code></td></tr>",
                escape(&f.path.display().to_string()),
                bytes(f.bytes),
                short_digest(f)
            )
        })
        .collect();
    let _ = write!(
        out,
        "<table><thead><tr><th>file</th><th class=\"n\">size</th><th>sha256</th></tr></thead><tbody>{files}</tbody></table>"
    );
    if !manifest.model.new.is_empty() {
        let _ = write!(
            out,
            "<p class=\"note\">Not in the base, drawn from the seed: {}.</p>",
            escape(&some(&manifest.model.new))
        );
    }
    if !manifest.model.unused.is_empty() {
        let _ =
            write!(out, "<p class=\"note\">In the base and not used: {}.</p>", escape(&some(&manifest.model.unused)));
    }
    let _ = write!(
        out,
        "<details open><summary>the recipe, every default filled in</summary><pre>{}</pre></details>",
        escape(recipe)
    );
    out
}

/// `17–32`, or `17`.
fn span(from: u64, to: u64) -> String {
    if from == to { from.to_string() } else { format!("{from}–{to}") }
}

/// The first few names and how many more.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 6 { format!("{shown} and {} more", names.len() - 6) } else { shown }
}

fn short_digest(file: &FileFacts) -> String {
    file.sha256.chars().take(16).collect()
}
