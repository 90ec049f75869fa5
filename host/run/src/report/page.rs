//! The page: sections in the order a reader asks.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use super::confusion::{heat, worst};
use super::history::{History, Measured};
use super::svg::{Series, escape, lines, short};
use super::{account, answers, strip};
use crate::manifest::Manifest;
use crate::words::{bytes, count, date, duration, plain};
use retune_roles::text::line;

const STYLE: &str = include_str!("style.css");

/// Most rows of a table, from its two ends; the event log has all of them.
const ROWS: usize = 400;

/// Most values, metrics and columns that are shown one by one.
const VALUES: usize = 60;

/// Most classes that have a row.
const MOST_CLASSES: usize = 2_000;

/// Most characters of a word of a plugin's: a reason, a name, a warning.
const WORDS: usize = 300;

const COLOURS: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];

/// The whole page.
pub fn page(manifest: &Manifest, history: &History, recipe: &str) -> String {
    let mut body = head(manifest, history);
    let labels = Labels::of(manifest);
    section(&mut body, "Result", &result(history, &labels));
    section(&mut body, "Loss", &loss(history));
    let metrics = metrics(history, &labels);
    if !metrics.is_empty() {
        section(&mut body, "Metrics on the validation set", &metrics);
    }
    section(&mut body, "Learning rate", &learning_rate(history));
    section(&mut body, "Trainable layers over time", &layers(history));
    let confused = confused(manifest, history);
    if !confused.is_empty() {
        section(&mut body, "Confusion matrix", &confused);
    }
    let answers = answers::table(history);
    if !answers.is_empty() {
        section(&mut body, "Answers", &answers);
    }
    if let Some(report) = &history.data {
        section(&mut body, "Data", &account::data(report));
    }
    section(&mut body, "Roles", &account::roles(manifest));
    if !history.warnings.is_empty() {
        let (shown, left_out) = ends(&history.warnings);
        let mut items: String = shown.map(|w| format!("<li>{}</li>", escape(&line(w, 4 * WORDS)))).collect();
        if left_out > 0 {
            let _ = write!(items, "<li>{left_out} more stand in events.jsonl</li>");
        }
        section(&mut body, "Warnings", &format!("<ul>{items}</ul>"));
    }
    section(&mut body, "Configuration", &account::configuration(manifest, recipe));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} · retune</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&manifest.name)
    )
}

/// The first and the last of many, and how many are left out between them.
fn ends<T>(all: &[T]) -> (impl Iterator<Item = &T>, usize) {
    let left_out = all.len().saturating_sub(ROWS);
    let (first, last) = if left_out > 0 { (&all[..ROWS / 2], &all[all.len() - ROWS / 2..]) } else { (all, &all[..0]) };
    (first.iter().chain(last), left_out)
}

/// Says that rows of a table are left out.
fn note(left_out: usize) -> String {
    match left_out {
        0 => String::new(),
        some => {
            format!("<p class=\"note\">{} between the first and the last {} stand in events.jsonl.</p>", some, ROWS / 2)
        }
    }
}

fn section(body: &mut String, title: &str, content: &str) {
    // Writing to a String does not fail, here and below.
    let _ = writeln!(body, "<section>\n<h2>{}</h2>\n{content}\n</section>", escape(title));
}

fn head(manifest: &Manifest, history: &History) -> String {
    let steps = history.last_step();
    let ended = match (&history.end, &history.failed, history.interrupted) {
        (_, Some(why), _) => format!("<p class=\"banner\">The run failed after step {steps}: {}</p>", escape(why)),
        (_, _, true) => format!(
            "<p class=\"banner\">The run was stopped after step {steps}. <code>retune run --resume</code> goes on from the last checkpoint.</p>"
        ),
        (Some(end), _, _) if end.reason == "early_stop" => {
            format!("<p class=\"lead\">Stopped early after step {steps}: the validation set no longer improved.</p>")
        }
        (Some(_), _, _) => String::new(),
        (None, _, _) => format!("<p class=\"banner\">The run has not ended; the last step here is {steps}.</p>"),
    };
    // Training counts what is trainable once the policies have spoken at the start; a run that failed before has not.
    let (parameters, trainable) = match history.parameters {
        (0, _) => (manifest.model.parameters, manifest.model.trainable),
        counted => counted,
    };
    format!(
        "<h1>{}</h1>\n<p class=\"lead\">{} · {} · {} of {} parameters trainable at the start · {} steps{} · {}</p>\n{ended}\n",
        escape(&manifest.name),
        escape(&manifest.task),
        escape(&manifest.model.architecture),
        count(trainable),
        count(parameters),
        steps,
        if history.seconds > 0.0 { format!(" in {}", duration(history.seconds)) } else { String::new() },
        date(manifest.started),
    )
}

fn result(history: &History, labels: &Labels<'_>) -> String {
    let before = history.measured("before");
    let after = history.measured("after");
    let test = history.measured("test");
    let mut names: Vec<&str> = Vec::new();
    for measured in [before, after, test].into_iter().flatten() {
        for (name, _) in &measured.values {
            // A value per class is for the table below, not for the summary.
            if names.len() < VALUES && !names.contains(&name.as_str()) && labels.split(name).is_none() {
                names.push(name);
            }
        }
    }
    if names.is_empty() {
        return "<p class=\"empty\">Nothing was measured.</p>".to_owned();
    }
    let title = |m: Option<&Measured>, word: &str| {
        m.map(|m| format!("<th class=\"n\">{word}<br>{} {} rows</th>", count(m.rows), escape(&m.split)))
            .unwrap_or_default()
    };
    let mut out = format!(
        "<table><thead><tr><th>value</th>{}{}{}</tr></thead><tbody>",
        title(before, "before"),
        title(after, "after"),
        title(test, "at the end")
    );
    for name in names {
        let _ = write!(out, "<tr><td>{}</td>", escape(name));
        for measured in [before, after, test].into_iter().flatten() {
            let value = measured.values.iter().find(|(n, _)| n == name).map(|(_, v)| short(*v));
            let _ = write!(out, "<td class=\"n\">{}</td>", value.unwrap_or_default());
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>");
    if let Some(end) = &history.end {
        let _ = write!(out, "<p class=\"note\">The result has the weights of step {}.", end.weights_from);
        if end.frozen_unchanged > 0 {
            let _ = write!(
                out,
                " {} frozen parameters were compared byte for byte and are unchanged.",
                end.frozen_unchanged
            );
        }
        out.push_str("</p>");
    }
    if let Some(peak) = history.peak_memory {
        let forecast = history.forecast_memory.map_or(String::new(), |forecast| {
            let off = 100.0 * (forecast as f64 / peak as f64 - 1.0);
            format!(" Forecast: {} ({off:+.0} %).", bytes(forecast))
        });
        let _ = write!(out, "<p class=\"note\">Most memory held: {}.{forecast}</p>", bytes(peak));
    }
    for step in &history.resumed_from {
        let _ = write!(out, "<p class=\"note\">Resumed from the checkpoint of step {step}.</p>");
    }
    let per_class = per_class(test.or(after), labels);
    out + &per_class
}

/// Values of single classes, folded away: a row per class, a column per value.
fn per_class(measured: Option<&Measured>, labels: &Labels<'_>) -> String {
    let values = measured.map(|m| m.values.as_slice()).unwrap_or_default();
    let found: Vec<(&str, &str, f64)> = values
        .iter()
        .filter_map(|(name, value)| labels.split(name).map(|(what, class)| (what, class, *value)))
        .collect();
    if found.is_empty() {
        return String::new();
    }
    let (mut columns, mut classes): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut seen: HashSet<&str> = HashSet::new();
    let mut cells: HashMap<(&str, &str), f64> = HashMap::new();
    for (what, class, value) in found {
        cells.entry((what, class)).or_insert(value);
        if columns.len() < VALUES && !columns.contains(&what) {
            columns.push(what);
        }
        if classes.len() < MOST_CLASSES && seen.insert(class) {
            classes.push(class);
        }
    }
    let mut out = String::from("<details><summary>by class</summary><table><thead><tr><th>class</th>");
    for what in &columns {
        let _ = write!(out, "<th class=\"n\">{}</th>", escape(what));
    }
    out.push_str("</tr></thead><tbody>");
    for class in classes {
        let _ = write!(out, "<tr><td>{}</td>", escape(class));
        for what in &columns {
            let value = cells.get(&(*what, class)).map(|value| short(*value)).unwrap_or_default();
            let _ = write!(out, "<td class=\"n\">{value}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></details>");
    out
}

/// The labels of a model, to tell values of single classes (`f1.yes`) from those of all (`macro_f1`).
struct Labels<'a>(HashSet<&'a str>);

impl<'a> Labels<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        Self(manifest.labels.iter().map(String::as_str).collect())
    }

    /// The value's name and its class: `f1` and `yes` of `f1.yes`, `f1/yes` or `f1[yes]`.
    fn split<'b>(&self, name: &'b str) -> Option<(&'b str, &'b str)> {
        name.match_indices(['.', '/', '[']).find_map(|(at, mark)| {
            let class = &name[at + 1..];
            let class = if mark == "[" { class.strip_suffix(']')? } else { class };
            self.0.contains(class).then(|| (&name[..at], class))
        })
    }
}

fn loss(history: &History) -> String {
    let point =
        |f: fn(&super::history::Step) -> f64| history.steps.iter().map(|s| (s.step as f64, f(s))).collect::<Vec<_>>();
    let mut series = vec![
        Series {
            name: "training, each step".into(),
            class: "s0",
            points: point(|s| s.loss),
            marks: false,
            faint: true,
        },
        Series {
            name: "training, smoothed".into(),
            class: "s0",
            points: point(|s| s.smoothed),
            marks: false,
            faint: false,
        },
    ];
    let validation: Vec<_> = evaluated(history, "loss");
    if !validation.is_empty() {
        series.push(Series { name: "validation".into(), class: "s1", points: validation, marks: true, faint: false });
    }
    lines("Loss by step", "step", &series)
}

fn evaluated(history: &History, name: &str) -> Vec<(f64, f64)> {
    let value = |values: &[(String, f64)]| values.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    let before =
        history.measured("before").filter(|m| m.split == "validation").and_then(|m| Some((0.0, value(&m.values)?)));
    before
        .into_iter()
        .chain(history.evaluations.iter().filter_map(|e| Some((e.step as f64, value(&e.values)?))))
        .collect()
}

fn metrics(history: &History, labels: &Labels<'_>) -> String {
    let Some(last) = history.evaluations.last() else { return String::new() };
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in &last.values {
        if names.len() < VALUES && name != "loss" && labels.split(name).is_none() && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let series: Vec<Series> = names
        .iter()
        .zip(COLOURS.iter().cycle())
        .map(|(name, class)| Series {
            name: (*name).clone(),
            class,
            points: evaluated(history, name),
            marks: true,
            faint: false,
        })
        .collect();
    let mut out = lines("Metrics by step", "step", &series);
    out.push_str(
        "<details><summary>numbers</summary><table><thead><tr><th class=\"n\">step</th><th class=\"n\">loss</th>",
    );
    for name in &names {
        let _ = write!(out, "<th class=\"n\">{}</th>", escape(name));
    }
    out.push_str("<th></th></tr></thead><tbody>");
    let (shown, left_out) = ends(&history.evaluations);
    for e in shown {
        let value = |name: &str| e.values.iter().find(|(n, _)| n == name).map(|(_, v)| short(*v)).unwrap_or_default();
        let _ = write!(out, "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td>", e.step, value("loss"));
        for name in &names {
            let _ = write!(out, "<td class=\"n\">{}</td>", value(name));
        }
        let _ = write!(out, "<td>{}</td></tr>", if e.best { "best so far" } else { "" });
    }
    out.push_str("</tbody></table>");
    out.push_str(&note(left_out));
    out.push_str("</details>");
    out
}

fn learning_rate(history: &History) -> String {
    let rate = history.steps.iter().map(|s| (s.step as f64, s.learning_rate)).collect();
    let norm = history.steps.iter().map(|s| (s.step as f64, s.grad_norm)).collect();
    let mut out = lines(
        "Learning rate by step",
        "step",
        &[Series { name: "learning rate".into(), class: "s2", points: rate, marks: false, faint: false }],
    );
    out.push_str("<details><summary>gradient norm, before clipping</summary>");
    out.push_str(&lines(
        "Gradient norm by step",
        "step",
        &[Series { name: "gradient norm".into(), class: "s3", points: norm, marks: false, faint: false }],
    ));
    out.push_str("</details>");
    out
}

fn layers(history: &History) -> String {
    let mut out = strip::strip(&history.layers, history.last_step());
    if !history.changes.is_empty() {
        out.push_str("<details><summary>what the policies decided</summary><table><thead><tr><th class=\"n\">after step</th><th>policy</th><th>layers</th><th>action</th><th>reason</th></tr></thead><tbody>");
        let (shown, left_out) = ends(&history.changes);
        for c in shown {
            let _ = write!(
                out,
                "<tr><td class=\"n\">{}</td><td>{}</td><td><code>{}</code> ({})</td><td>{}</td><td>{}</td></tr>",
                c.step,
                escape(&line(plain(&c.policy), WORDS)),
                escape(&line(&c.layers, WORDS)),
                c.selected,
                escape(&line(&c.action, WORDS)),
                escape(&line(&c.reason, WORDS))
            );
        }
        out.push_str("</tbody></table>");
        out.push_str(&note(left_out));
        out.push_str("</details>");
    }
    out
}

fn confused(manifest: &Manifest, history: &History) -> String {
    let measured = history.measured("test").or_else(|| history.measured("after"));
    let Some((measured, confusion)) = measured.and_then(|m| Some((m, m.confusion.as_ref()?))) else {
        return String::new();
    };
    let mut out = format!(
        "<p class=\"note\">On the {} set; rows are labels, columns are predictions, the colour is the share of the row.</p>",
        escape(&measured.split)
    );
    out.push_str(&heat(confusion, &manifest.labels));
    match worst(confusion, &manifest.labels) {
        Some(worst) => {
            let _ = write!(out, "<h3>Most frequent confusions</h3>{worst}");
        }
        None => out.push_str("<p>Every row was labelled correctly.</p>"),
    }
    out
}
