//! The section `evaluation`.

use std::path::Path;

use retune_roles::TaskKind;

use super::super::reader::{Problems, Section};
use super::super::value::kind;
use super::super::{At, Best, EarlyStopping, Evaluation, Every, RoleRef, roles};
use super::is_table;

pub(super) fn evaluation(
    section: Option<Section<'_, '_>>,
    folder: &Path,
    task: Option<TaskKind>,
    validated: bool,
    problems: &Problems<'_>,
) -> Evaluation {
    let usual = || {
        let name = if task == Some(TaskKind::CausalLm) { "perplexity" } else { "accuracy" };
        vec![RoleRef::builtin("evaluation.metrics[0]".to_owned(), At::default_of(name.to_owned()))]
    };
    let default_every = if validated { Every::Epoch } else { Every::Never };
    let Some(mut section) = section else {
        return Evaluation { every: default_every, batch_size: 32, metrics: usual(), best: None, early_stopping: None };
    };
    let given = section.span();
    let every = every(&mut section);
    let batch_size = section.whole("batch_size", 1).map_or(32, At::into_inner);
    let metrics = match section.node("metrics") {
        None => usual(),
        Some(_) => section
            .list("metrics")
            .into_iter()
            .filter_map(|(path, node)| roles::role(path, node, folder, true, problems))
            .collect(),
    };
    let best = best(&mut section);
    let early_stopping = early_stopping(&mut section);
    let needs = match (&every, &best, &early_stopping) {
        (Some(e), _, _) if **e != Every::Never => Some(("every", e.span())),
        (_, Some(_), _) => Some(("best", section.node("best").map(|n| n.span()))),
        (_, _, Some(_)) => Some(("early_stopping", section.node("early_stopping").map(|n| n.span()))),
        _ => None,
    };
    if let (Some((key, span)), false) = (needs, validated) {
        problems.add(
            span.unwrap_or(given),
            format!("`evaluation.{key}` needs a validation set, and there is none"),
            "nothing to evaluate on",
            Some("add validation = { split = 0.1 } to [data]".to_owned()),
        );
    }
    section.close();
    Evaluation { every: every.map_or(default_every, At::into_inner), batch_size, metrics, best, early_stopping }
}

fn every(section: &mut Section<'_, '_>) -> Option<At<Every>> {
    let node = section.node("every")?;
    if node.get_ref().is_str() {
        return section.choice("every", &[("epoch", Every::Epoch), ("never", Every::Never)]);
    }
    if !is_table(node.get_ref()) {
        section.problems().add(
            node.span(),
            format!("`evaluation.every` must be a string or a table, not {}", kind(node.get_ref())),
            "expected `epoch`, `never` or a number of steps",
            Some("write every = \"epoch\" or every = { steps = 100 }".to_owned()),
        );
        return None;
    }
    let mut table = section.section("every", "evaluation.every")?;
    let steps = table.whole("steps", 1);
    if steps.is_none() && table.node("steps").is_none() {
        table.missing("steps", "write every = { steps = 100 }");
    }
    table.close();
    steps.map(|steps| steps.map(Every::Steps))
}

fn best(section: &mut Section<'_, '_>) -> Option<Best> {
    let mut table = section.section("best", "evaluation.best")?;
    let metric = table.string("metric").unwrap_or(At::default_of("loss".to_owned()));
    let maximize = table.choice("mode", &[("min", false), ("max", true)]).map(At::into_inner);
    table.close();
    Some(Best { metric, maximize })
}

fn early_stopping(section: &mut Section<'_, '_>) -> Option<EarlyStopping> {
    let mut table = section.section("early_stopping", "evaluation.early_stopping")?;
    let patience = table.whole("patience", 1);
    if patience.is_none() && table.node("patience").is_none() {
        table.missing("patience", "write early_stopping = { patience = 3 }");
    }
    let min_delta = table.number("min_delta", "0 or more", |v| v >= 0.0).map_or(0.0, At::into_inner);
    table.close();
    Some(EarlyStopping { patience: *patience?, min_delta })
}
