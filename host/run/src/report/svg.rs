//! Small pictures as inline SVG: lines over steps, bars. No script, no resource from outside.
//!
//! Colours are classes, so that one style sheet serves light and dark. Every
//! picture has a title for those who do not see it, and the page repeats its
//! numbers in a table.

use std::fmt::Write;

use retune_roles::text::visible;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Room beside the axes for the marks at both ends.
const MARK: f64 = 5.0;

/// Most points of a line that have a mark each.
const MARKED: usize = 500;

/// A line, or marks, in a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// Class of its colour: `s0` to `s5`.
    pub class: &'static str,
    /// Where it is, in order of x; gaps at what is not finite.
    pub points: Vec<(f64, f64)>,
    /// Draw a mark at every point.
    pub marks: bool,
    /// Thin and pale, behind the others.
    pub faint: bool,
}

/// Lines over steps.
pub fn lines(title: &str, x_name: &str, series: &[Series]) -> String {
    let finite =
        || series.iter().flat_map(|s| s.points.iter().copied()).filter(|(x, y)| x.is_finite() && y.is_finite());
    let Some(x_range) = range(finite().map(|p| p.0)) else {
        return "<p class=\"empty\">No numbers were logged.</p>".to_owned();
    };
    // Faint lines may leave the picture: one wild step should not flatten the rest.
    let strong =
        series.iter().filter(|s| !s.faint).flat_map(|s| s.points.iter().map(|p| p.1)).filter(|y| y.is_finite());
    let Some(y_range) = range(strong).or_else(|| range(finite().map(|p| p.1))) else {
        return "<p class=\"empty\">No finite numbers were logged.</p>".to_owned();
    };
    let y_range = padded(y_range);
    let x_range = if x_range.0 == x_range.1 { (x_range.0 - 0.5, x_range.1 + 0.5) } else { x_range };
    let x_of = |x: f64| LEFT + (x - x_range.0) / (x_range.1 - x_range.0) * (WIDTH - LEFT - RIGHT);
    let y_of = |y: f64| HEIGHT - BOTTOM - (y - y_range.0) / (y_range.1 - y_range.0) * (HEIGHT - TOP - BOTTOM);

    let mut out = open(title, HEIGHT);
    out.push_str(&format!(
        "<clipPath id=\"{0}\"><rect x=\"{1}\" y=\"{TOP}\" width=\"{2}\" height=\"{3}\"/></clipPath>",
        id(title),
        LEFT - MARK,
        WIDTH - LEFT - RIGHT + 2.0 * MARK,
        HEIGHT - TOP - BOTTOM
    ));
    for tick in ticks(y_range, 5) {
        let y = y_of(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            short(tick)
        );
    }
    for tick in ticks(x_range, 8) {
        let x = x_of(tick);
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM + 18.0,
            short(tick)
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><g clip-path=\"url(#{})\">",
        WIDTH - RIGHT,
        HEIGHT - 2.0,
        escape(x_name),
        id(title)
    );
    for s in series {
        let faint = if s.faint { " faint" } else { "" };
        for run in s.points.split(|p| !p.0.is_finite() || !p.1.is_finite()).filter(|run| !run.is_empty()) {
            let path: Vec<String> =
                thinned(run).iter().map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(*y))).collect();
            let _ = write!(out, "<polyline class=\"line {}{faint}\" points=\"{}\"/>", s.class, path.join(" "));
        }
        if s.marks && s.points.len() <= MARKED {
            for (x, y) in s.points.iter().filter(|p| p.1.is_finite()) {
                let _ = write!(
                    out,
                    "<circle class=\"mark {}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{}: {} at step {}</title></circle>",
                    s.class,
                    x_of(*x),
                    y_of(*y),
                    escape(&s.name),
                    short(*y),
                    short(*x)
                );
            }
        }
    }
    out.push_str("</g></svg>");
    out + &legend(series)
}

/// Bars, each with its label.
pub fn bars(title: &str, bars: &[(String, u64)]) -> String {
    let most = bars.iter().map(|b| b.1).max().unwrap_or(0);
    if most == 0 {
        return "<p class=\"empty\">Nothing to count.</p>".to_owned();
    }
    let height = 200.0;
    let mut out = open(title, height);
    let room = WIDTH - LEFT - RIGHT;
    let each = room / bars.len() as f64;
    for (i, (label, count)) in bars.iter().enumerate() {
        let tall = *count as f64 / most as f64 * (height - TOP - BOTTOM - 14.0);
        let x = LEFT + i as f64 * each;
        let y = height - BOTTOM - tall;
        let _ = write!(
            out,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"><title>{}: {count}</title></rect><text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text><text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x + each * 0.08,
            each * 0.84,
            escape(label),
            x + each / 2.0,
            y - 4.0,
            x + each / 2.0,
            height - BOTTOM + 18.0,
            escape(label)
        );
    }
    out.push_str("</svg>");
    out
}

/// The start of a picture of [`WIDTH`] by `height`.
pub fn open(title: &str, height: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>", escape(title))
}

/// Names beside their colours.
pub fn legend(series: &[Series]) -> String {
    let items: Vec<String> = series
        .iter()
        .map(|s| {
            format!(
                "<li><span class=\"swatch {}{}\"></span>{}</li>",
                s.class,
                if s.faint { " faint" } else { "" },
                escape(&s.name)
            )
        })
        .collect();
    format!("<ul class=\"legend\">{}</ul>", items.concat())
}

/// Text that is safe inside HTML: no markup, and nothing that turns the direction of what stands around it.
pub fn escape(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number as short as it can be read.
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return "undefined".to_owned();
    }
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.2e}");
        text.replace(".00e", "e").replace("0e", "e")
    } else if value.fract() == 0.0 {
        format!("{value}")
    } else {
        let digits = if size >= 100.0 {
            1
        } else if size >= 1.0 {
            3
        } else {
            4
        };
        let text = format!("{value:.digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

fn id(title: &str) -> String {
    title.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, v| Some(range.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v)))))
}

fn padded((low, high): (f64, f64)) -> (f64, f64) {
    let room = if high > low { (high - low) * 0.05 } else { (high.abs() * 0.1).max(1e-6) };
    (low - room, high + room)
}

/// Round numbers inside a range, about `wanted` of them.
fn ticks((low, high): (f64, f64), wanted: usize) -> Vec<f64> {
    let rough = (high - low) / wanted as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|n| n as f64 * step).collect()
}

/// At most 600 points, each the mean of its neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(600).max(1);
    points
        .chunks(group)
        .map(|c| {
            (c.iter().map(|p| p.0).sum::<f64>() / c.len() as f64, c.iter().map(|p| p.1).sum::<f64>() / c.len() as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_lie_inside() {
        assert_eq!(ticks((0.0, 10.0), 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert!(ticks((0.13, 0.94), 5).iter().all(|t| (0.13..=0.94).contains(t)));
    }

    #[test]
    fn a_gap_in_the_numbers_is_a_gap_in_the_line() {
        let points = vec![(1.0, 1.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, 3.0)];
        let svg =
            lines("Loss", "step", &[Series { name: "train".into(), class: "s0", points, marks: false, faint: false }]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn text_from_a_data_set_cannot_become_markup() {
        assert_eq!(escape("<b>\"&\u{202e}"), "&lt;b&gt;&quot;&amp;\u{fffd}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.5, 12.0, 1234567.0, 0.00002, 0.83333, 1.0].map(short).join(" "), "0.5 12 1.23e6 2e-5 0.8333 1");
    }

    #[test]
    fn a_single_point_is_drawn_and_not_divided_by_zero() {
        let svg = lines(
            "Loss",
            "step",
            &[Series { name: "t".into(), class: "s0", points: vec![(5.0, 0.0)], marks: true, faint: false }],
        );
        assert!(svg.contains("<circle") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
