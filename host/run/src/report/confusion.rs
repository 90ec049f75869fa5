//! The confusion matrix: a heat map, and the confusions that cost most.

use std::fmt::Write;

use super::svg::{escape, open};

const WIDTH: f64 = 760.0;

/// Rows are labels, columns are predictions; a cell's colour is its share of the row.
pub fn heat(matrix: &[Vec<u64>], labels: &[String]) -> String {
    let classes = matrix.len();
    if classes == 0 {
        return String::new();
    }
    let named = classes <= 24;
    let left = if named { 190.0 } else { 24.0 };
    let cell = ((WIDTH - left) / classes as f64).min(44.0);
    let side = cell * classes as f64;
    let height = side + if named { 22.0 } else { 20.0 };
    let mut out = open("Confusion matrix: rows are labels, columns are predictions", height);
    for (i, row) in matrix.iter().enumerate() {
        let total: u64 = row.iter().sum();
        let label = name(labels, i);
        let y = i as f64 * cell;
        if named {
            let _ = write!(
                out,
                "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + cell / 2.0 + 4.0,
                escape(&clip(&label, 26))
            );
        }
        for (j, count) in row.iter().enumerate() {
            let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
            let class = if i == j { "right" } else { "wrong" };
            let x = left + j as f64 * cell;
            let _ = write!(
                out,
                "<rect class=\"cell\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{cell:.2}\" height=\"{cell:.2}\"/>"
            );
            if *count > 0 {
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{cell:.2}\" height=\"{cell:.2}\" fill-opacity=\"{:.2}\"><title>{} taken for {}: {count} of {total}</title></rect>",
                    0.1 + 0.6 * share,
                    escape(&label),
                    escape(&name(labels, j))
                );
                if classes <= 16 {
                    let _ = write!(
                        out,
                        "<text class=\"count\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text>",
                        x + cell / 2.0,
                        y + cell / 2.0 + 4.0
                    );
                }
            }
        }
    }
    let _ = write!(
        out,
        "<text class=\"tick\" x=\"{left}\" y=\"{:.1}\">columns: predictions, in the same order</text></svg>",
        height - 4.0
    );
    out
}

/// The ten most frequent confusions, as table rows; `None` when nothing was confused.
pub fn worst(matrix: &[Vec<u64>], labels: &[String]) -> Option<String> {
    let mut wrong: Vec<(u64, usize, usize, u64)> = Vec::new();
    for (i, row) in matrix.iter().enumerate() {
        let total = row.iter().sum();
        wrong.extend(
            row.iter().enumerate().filter(|(j, count)| *j != i && **count > 0).map(|(j, count)| (*count, i, j, total)),
        );
    }
    wrong.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    if wrong.is_empty() {
        return None;
    }
    let mut out = String::from(
        "<table><thead><tr><th>label</th><th>taken for</th><th class=\"n\">times</th><th class=\"n\">of the label's rows</th></tr></thead><tbody>",
    );
    for (count, i, j, total) in wrong.into_iter().take(10) {
        let share = 100.0 * count as f64 / total as f64;
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{count}</td><td class=\"n\">{share:.0} %</td></tr>",
            escape(&name(labels, i)),
            escape(&name(labels, j))
        );
    }
    out.push_str("</tbody></table>");
    Some(out)
}

fn name(labels: &[String], i: usize) -> String {
    labels.get(i).cloned().unwrap_or_else(|| format!("class {i}"))
}

fn clip(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        name.to_owned()
    } else {
        format!("{}…", name.chars().take(most - 1).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_confusion_comes_first_and_the_diagonal_never() {
        let labels = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let table = worst(&[vec![9, 1, 0], vec![0, 5, 5], vec![0, 0, 10]], &labels).unwrap_or_default();
        let rows: Vec<&str> = table.split("<tr>").skip(2).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].starts_with("<td>b</td><td>c</td><td class=\"n\">5</td><td class=\"n\">50 %"));
        assert!(rows[1].starts_with("<td>a</td><td>b</td><td class=\"n\">1</td><td class=\"n\">10 %"));
    }

    #[test]
    fn a_perfect_model_confuses_nothing() {
        assert_eq!(worst(&[vec![3, 0], vec![0, 2]], &[]), None);
    }
}
