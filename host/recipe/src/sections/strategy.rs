//! The section `strategy`.

use std::path::Path;

use super::super::reader::Section;
use super::super::{At, Reinitialize, Scheme, Strategy, roles};

pub(super) fn strategy(mut section: Section<'_, '_>, folder: &Path) -> Option<Strategy> {
    let method = section.choice("method", &[("full", false), ("partial", true)]);
    let freeze = section.strings("freeze", true);
    let top = section.whole32("train_top_layers", 0);
    let problems = section.problems();
    let reinitialize = section
        .list("reinitialize")
        .into_iter()
        .filter_map(|(path, node)| reinit(Section::open("strategy.reinitialize", path, node, problems)?))
        .collect();
    let policy: Vec<_> = section
        .list("policy")
        .into_iter()
        .filter_map(|(path, node)| roles::role(path, node, folder, true, problems))
        .collect();
    let narrows = freeze.as_ref().is_some_and(|f| !f.is_empty()) || top.is_some();
    match &method {
        Some(partial) if !**partial && narrows => {
            let span =
                freeze.as_ref().and_then(At::span).or_else(|| top.as_ref().and_then(At::span)).unwrap_or_default();
            problems.add(
                span,
                "`strategy.method` is `full`, and this freezes parameters",
                "has no effect with `full`",
                Some("write method = \"partial\", or remove this key".to_owned()),
            );
        }
        Some(partial) if **partial && !narrows && policy.is_empty() => {
            let span = partial.span().unwrap_or_default();
            problems.add(
                span,
                "`strategy.method` is `partial`, and nothing says what is frozen",
                "partial of what?",
                Some("add `freeze`, `train_top_layers` or a [[strategy.policy]]".to_owned()),
            );
        }
        _ => {}
    }
    section.close();
    Some(Strategy {
        partial: method.map_or(narrows, At::into_inner),
        freeze: freeze.map(At::into_inner).unwrap_or_default(),
        train_top_layers: top,
        reinitialize,
        policy,
    })
}

#[derive(Clone, Copy)]
enum Name {
    Normal,
    Zeros,
    Xavier,
    Kaiming,
}

const SCHEMES: &[(&str, Name)] = &[
    ("normal", Name::Normal),
    ("zeros", Name::Zeros),
    ("xavier-uniform", Name::Xavier),
    ("kaiming-uniform", Name::Kaiming),
];

fn reinit(mut section: Section<'_, '_>) -> Option<Reinitialize> {
    let layers = section.strings("layers", true);
    if layers.is_none() && section.node("layers").is_none() {
        section.missing("layers", "write layers = \"classifier.**\"");
    }
    let scheme = section.choice("scheme", SCHEMES).map_or(Name::Normal, At::into_inner);
    let std = section.number("std", "more than 0", |v| v > 0.0);
    let scheme = match scheme {
        Name::Normal => Scheme::Normal(std.map_or(0.02, At::into_inner)),
        other => {
            if let Some(std) = std {
                section.problems().add(
                    std.span().unwrap_or_default(),
                    format!("`{}` has no effect on this scheme", section.full("std")),
                    "only `normal` has one",
                    None,
                );
            }
            match other {
                Name::Zeros => Scheme::Zeros,
                Name::Xavier => Scheme::XavierUniform,
                Name::Kaiming | Name::Normal => Scheme::KaimingUniform,
            }
        }
    };
    section.close();
    Some(Reinitialize { layers: layers?.into_inner(), scheme })
}
