//! Which layers were frozen when: layers by steps, a band for each.

use std::fmt::Write;

use super::history::LayerMoment;
use super::svg::{escape, open, short};

const LABEL: f64 = 250.0;
const WIDTH: f64 = 760.0;
const RIGHT: f64 = 12.0;
const ROW: f64 = 16.0;

/// Most moments, times layers, that are drawn; of more, some between the first and the last are left out.
const DRAWN: usize = 20_000;

/// The picture; the input is at the bottom, the head at the top.
pub fn strip(moments: &[LayerMoment], last_step: u64) -> String {
    let Some(first) = moments.first() else { return "<p class=\"empty\">No layers were logged.</p>".to_owned() };
    let every = moments.len().div_ceil((DRAWN / first.layers.len().max(1)).max(2)).max(1);
    let drawn: Vec<&LayerMoment> = moments.iter().rev().step_by(every).rev().collect();
    let end = last_step.max(1) as f64;
    let rows = first.layers.len();
    let height = rows as f64 * ROW + 28.0;
    let mut out = open("Trainable layers by step", height);
    for (i, (name, _, _)) in first.layers.iter().enumerate() {
        let y = (rows - 1 - i) as f64 * ROW;
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LABEL - 8.0,
            y + 12.0,
            escape(&clipped(name))
        );
        for band in bands(&drawn, i, last_step) {
            let x = LABEL + band.from as f64 / end * (WIDTH - RIGHT - LABEL);
            let width = (band.to - band.from) as f64 / end * (WIDTH - RIGHT - LABEL);
            let said = match (band.trainable, band.scale) {
                (false, _) => "frozen".to_owned(),
                (true, 1.0) => "learns".to_owned(),
                (true, scale) => format!("learns at {} of the rate", short(scale)),
            };
            let class = if band.trainable { "learns" } else { "frozen" };
            // A smaller factor is paler; never so pale that it looks frozen.
            let opacity = if band.trainable { 0.35 + 0.65 * band.scale.clamp(0.0, 1.0) } else { 1.0 };
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{:.1}\" width=\"{width:.2}\" height=\"{}\" fill-opacity=\"{opacity:.2}\"><title>{}: {said}, steps {} to {}</title></rect>",
                y + 1.0,
                ROW - 2.0,
                escape(name),
                band.from + 1,
                band.to
            );
        }
    }
    let y = height - 8.0;
    let _ = write!(
        out,
        "<text class=\"tick\" x=\"{LABEL}\" y=\"{y}\">step 1</text><text class=\"tick\" x=\"{}\" y=\"{y}\" text-anchor=\"end\">step {last_step}</text></svg>",
        WIDTH - RIGHT
    );
    out + "<ul class=\"legend\"><li><span class=\"swatch learns\"></span>learns (paler: smaller learning rate)</li><li><span class=\"swatch frozen\"></span>frozen</li></ul>"
}

struct Band {
    from: u64,
    to: u64,
    trainable: bool,
    scale: f64,
}

/// Stretches of steps in which layer `i` stays as it is.
fn bands(moments: &[&LayerMoment], i: usize, last_step: u64) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for (n, moment) in moments.iter().enumerate() {
        let Some((_, trainable, scale)) = moment.layers.get(i) else { continue };
        let to = moments.get(n + 1).map_or(last_step, |next| next.step).min(last_step.max(1));
        if to <= moment.step {
            continue;
        }
        match bands.last_mut() {
            Some(last) if last.trainable == *trainable && last.scale == *scale && last.to == moment.step => {
                last.to = to
            }
            _ => bands.push(Band { from: moment.step, to, trainable: *trainable, scale: *scale }),
        }
    }
    bands
}

/// A long name keeps its end, which tells layers apart.
fn clipped(name: &str) -> String {
    let length = name.chars().count();
    if length <= 36 { name.to_owned() } else { format!("…{}", name.chars().skip(length - 35).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(step: u64, low: bool, high: bool) -> LayerMoment {
        LayerMoment { step, layers: vec![("embeddings".into(), low, 1.0), ("head".into(), high, 1.0)] }
    }

    #[test]
    fn a_layer_that_thaws_has_a_frozen_and_a_learning_band() {
        let moments = [moment(0, false, true), moment(40, true, true)];
        let svg = strip(&moments, 100);
        assert!(svg.contains("embeddings: frozen, steps 1 to 40"));
        assert!(svg.contains("embeddings: learns, steps 41 to 100"));
        assert!(svg.contains("head: learns, steps 1 to 100"), "a layer that did not change is one band");
    }

    #[test]
    fn of_thousands_of_changes_some_are_drawn_and_the_last_one_is_among_them() {
        let moments: Vec<LayerMoment> = (0..100_000).map(|step| moment(step, step / 7 % 2 == 1, true)).collect();
        let svg = strip(&moments, 100_000);
        assert!(svg.len() < 8 << 20, "{}", svg.len());
        assert!(svg.contains("embeddings: learns") && svg.contains("to 100000"));
    }

    #[test]
    fn a_change_before_the_first_step_leaves_no_empty_band() {
        let moments = [moment(0, true, true), moment(0, false, true)];
        assert!(strip(&moments, 10).contains("embeddings: frozen, steps 1 to 10"));
        assert!(!strip(&moments, 10).contains("embeddings: learns"));
    }
}
