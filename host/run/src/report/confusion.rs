//! The confusion matrix: a heat map, and the confusions that cost most.
//!
//! Up to [`NAMED`] classes each cell has its labels and counts; beyond that cells of one colour are one path, and only the
//! [`DRAWN`] largest are drawn, so that the page stays small whatever the number of labels.

use std::collections::BTreeMap;
use std::fmt::Write;

use retune_train::Confusion;

use super::svg::{escape, open};

const WIDTH: f64 = 760.0;

/// Classes whose names fit beside the matrix.
const NAMED: usize = 24;

/// Classes whose counts fit into the cells.
const COUNTED: usize = 16;

/// Cells of a matrix without names that are drawn, the largest counts first.
const DRAWN: usize = 4000;

/// Shades of a cell in a matrix without names.
const SHADES: u64 = 5;

/// A count of rows, the label's and the prediction's number, and the rows of the label.
type Cell = (u64, usize, usize, u64);

/// Rows are labels, columns are predictions; a cell's colour is its share of the row.
pub fn heat(confusion: &Confusion, labels: &[String]) -> String {
    let cells = cells(confusion);
    let classes = cells.iter().map(|&(_, i, j, _)| i.max(j) + 1).max().unwrap_or(0).max(labels.len());
    match classes {
        0 => String::new(),
        1..=NAMED => named(&cells, classes, labels),
        _ => unnamed(cells, classes),
    }
}

/// What is not zero, by label, then by prediction.
fn cells(confusion: &Confusion) -> Vec<Cell> {
    let mut totals: BTreeMap<u32, u64> = BTreeMap::new();
    for (class, _, count) in confusion.pairs() {
        *totals.entry(class).or_default() += count;
    }
    let total = |class| totals.get(&class).copied().unwrap_or(0);
    confusion.pairs().map(|(i, j, count)| (count, i as usize, j as usize, total(i))).collect()
}

fn named(cells: &[Cell], classes: usize, labels: &[String]) -> String {
    let left = 190.0;
    let size = ((WIDTH - left) / classes as f64).min(44.0);
    let side = size * classes as f64;
    let mut out = open("Confusion matrix: rows are labels, columns are predictions", side + 22.0);
    frame(&mut out, left, side);
    for i in 0..classes {
        let label = name(labels, i);
        let y = i as f64 * size;
        // Writing to a String does not fail, here and below.
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + size / 2.0 + 4.0,
            escape(&clip(&label, 26))
        );
        for (count, _, j, total) in cells.iter().filter(|cell| cell.1 == i) {
            let class = if i == *j { "right" } else { "wrong" };
            let x = left + *j as f64 * size;
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{size:.2}\" height=\"{size:.2}\" fill-opacity=\"{:.2}\"><title>{} taken for {}: {count} of {total}</title></rect>",
                0.1 + 0.6 * *count as f64 / *total as f64,
                escape(&label),
                escape(&name(labels, *j))
            );
            if classes <= COUNTED {
                let _ = write!(
                    out,
                    "<text class=\"count\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text>",
                    x + size / 2.0,
                    y + size / 2.0 + 4.0
                );
            }
        }
    }
    close(&mut out, left, side, "columns: predictions, in the same order");
    out
}

fn unnamed(mut cells: Vec<Cell>, classes: usize) -> String {
    let left = 24.0;
    let side = WIDTH - left;
    let mut out = open("Confusion matrix: rows are labels, columns are predictions", side + 20.0);
    frame(&mut out, left, side);
    let all = cells.len();
    cells.sort_unstable_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    cells.truncate(DRAWN);
    let _ = write!(out, "<g transform=\"translate({left}) scale({:.6})\">", side / classes as f64);
    for class in ["right", "wrong"] {
        for shade in 0..SHADES {
            let path: String = cells
                .iter()
                .filter(|(count, i, j, total)| {
                    (class == "right") == (i == j) && (count * SHADES / total).min(SHADES - 1) == shade
                })
                .map(|(_, i, j, _)| format!("M{j} {i}h1v1h-1z"))
                .collect();
            if !path.is_empty() {
                let opacity = 0.1 + 0.6 * (shade as f64 + 0.5) / SHADES as f64;
                let _ = write!(out, "<path class=\"{class}\" fill-opacity=\"{opacity:.2}\" d=\"{path}\"/>");
            }
        }
    }
    out.push_str("</g>");
    let left_out = if all > DRAWN { format!("; the {DRAWN} largest of {all} cells") } else { String::new() };
    close(&mut out, left, side, &format!("rows and columns: labels and predictions in the model's order{left_out}"));
    out
}

/// The square the cells are in.
fn frame(out: &mut String, left: f64, side: f64) {
    let _ = write!(out, "<rect class=\"cell\" x=\"{left}\" y=\"0\" width=\"{side:.1}\" height=\"{side:.1}\"/>");
}

/// A line below the square, and the end of the picture.
fn close(out: &mut String, left: f64, side: f64, text: &str) {
    let _ = write!(out, "<text class=\"tick\" x=\"{left}\" y=\"{:.1}\">{text}</text></svg>", side + 16.0);
}

/// The ten most frequent confusions, as table rows; `None` when nothing was confused.
pub fn worst(confusion: &Confusion, labels: &[String]) -> Option<String> {
    let mut wrong = cells(confusion);
    wrong.retain(|(_, i, j, _)| i != j);
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

    /// From counts by label, then by prediction.
    fn matrix<const N: usize>(rows: [[u64; N]; N]) -> Confusion {
        let row = |(i, row): (usize, [u64; N])| (0..N).map(move |j| (i as u32, j as u32, row[j]));
        Confusion::from(rows.into_iter().enumerate().flat_map(row).collect::<Vec<_>>())
    }

    #[test]
    fn the_worst_confusion_comes_first_and_the_diagonal_never() {
        let labels = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let table = worst(&matrix([[9, 1, 0], [0, 5, 5], [0, 0, 10]]), &labels).unwrap_or_default();
        let rows: Vec<&str> = table.split("<tr>").skip(2).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].starts_with("<td>b</td><td>c</td><td class=\"n\">5</td><td class=\"n\">50 %"));
        assert!(rows[1].starts_with("<td>a</td><td>b</td><td class=\"n\">1</td><td class=\"n\">10 %"));
    }

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("a label of {n}")).collect()
    }

    #[test]
    fn what_never_happened_is_not_drawn() {
        let picture = heat(&matrix([[3, 0, 0], [0, 2, 1], [0, 0, 0]]), &labels(3));
        assert_eq!(picture.matches("<rect").count(), 1 + 3, "the frame, and a rectangle per count that is not 0");
        assert_eq!(picture.matches("class=\"tick\"").count(), 3 + 1, "a label without rows has its row");
        assert!(picture.contains("a label of 1 taken for a label of 2: 1 of 3"));
    }

    #[test]
    fn five_hundred_labels_stay_small() {
        // Twenty rows per label, nineteen of them right.
        let row = |i: u32| [(i, i, 19), (i, (i * 7 + 1) % 500, 1)];
        let likely = Confusion::from((0..500).flat_map(row).collect::<Vec<_>>());
        let picture = heat(&likely, &labels(500));
        assert_eq!(picture.matches("h1v1h-1z").count(), likely.len());
        assert!(picture.len() < 20_000, "{} bytes", picture.len());
        let dense = Confusion::from((0..500).flat_map(|i| (0..500).map(move |j| (i, j, 1))).collect::<Vec<_>>());
        let picture = heat(&dense, &labels(500));
        assert!(picture.len() < 80_000, "{} bytes", picture.len());
        assert!(picture.contains("the 4000 largest of 250000 cells"));
    }

    #[test]
    fn of_twenty_thousand_labels_only_the_pairs_that_occur_are_looked_at() {
        // All pairs would be 3.2 GB, and minutes of drawing.
        let few = Confusion::from((0..50).map(|i| (i * 400, 19_999 - i * 400, 2)).collect::<Vec<_>>());
        let picture = heat(&few, &labels(20_000));
        assert_eq!(picture.matches("h1v1h-1z").count(), 50);
        assert!(picture.contains(&format!("scale({:.6})", (WIDTH - 24.0) / 20_000.0)), "in their place among all");
        let table = worst(&few, &labels(20_000)).unwrap_or_default();
        assert!(table.contains("<td>a label of 0</td><td>a label of 19999</td>"), "{table}");
    }

    #[test]
    fn a_perfect_model_confuses_nothing() {
        assert_eq!(worst(&matrix([[3, 0], [0, 2]]), &[]), None);
    }
}
