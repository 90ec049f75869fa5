//! What the model was asked, what would have been right, and what it answered before and after training.

use std::fmt::Write;

use retune_train::Answer;

use super::history::History;
use super::svg::escape;

/// Answers of one model to rows of one set.
struct Column<'a> {
    title: String,
    answers: &'a [Answer],
}

/// A table for the validation set and one for the test set; empty when nothing was generated.
pub fn table(history: &History) -> String {
    let measured =
        |when: &str| history.measured(when).map(|m| m.answers.as_slice()).filter(|answers| !answers.is_empty());
    let column = |title: &str, answers| Column { title: title.to_owned(), answers };
    let mut columns: Vec<Column<'_>> =
        measured("before").map(|answers| column("before training", answers)).into_iter().collect();
    match (measured("after"), history.evaluations.iter().rev().find(|e| !e.answers.is_empty())) {
        (Some(answers), _) => columns.push(column("after training", answers)),
        (None, Some(last)) => {
            columns.push(Column { title: format!("after step {}", last.step), answers: &last.answers })
        }
        (None, None) => {}
    }
    let mut out = rows("Rows of the validation set", &columns);
    if let Some(answers) = measured("test") {
        out.push_str(&rows("Rows of the test set", &[column("after training", answers)]));
    }
    out
}

fn rows(title: &str, columns: &[Column<'_>]) -> String {
    let Some(last) = columns.last() else { return String::new() };
    let mut out = format!(
        "<h3>{title}</h3>\n<div class=\"scroll\"><table class=\"answers\"><thead><tr><th>row</th><th>asked</th><th>expected</th>"
    );
    // Writing to a String does not fail, here and below.
    for column in columns {
        let _ = write!(out, "<th>{}</th>", escape(&column.title));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in last.answers {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td>",
            escape(&row.key),
            folded(&row.prompt, "show"),
            folded(&row.reference, &first_line(&row.reference))
        );
        for column in columns {
            let answer =
                column.answers.iter().find(|answer| answer.key == row.key).map_or("", |answer| &answer.prediction);
            let _ = write!(out, "<td class=\"text\">{}</td>", escape(answer));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// A text that is opened by a click, under what stands for it.
fn folded(text: &str, summary: &str) -> String {
    format!("<details><summary>{}</summary><div class=\"text\">{}</div></details>", escape(summary), escape(text))
}

fn first_line(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(SHOWN).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}
