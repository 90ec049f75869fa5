//! Which parameters learn from the start, and which begin anew.
//!
//! A strategy is data: globs and numbers that are turned, once, into the
//! `trainable` flag of each parameter. The loop has no branch for any of them. What it
//! freezes is frozen for good: policies decide about the rest.

use retune_roles::{InitScheme, Layer, LayerKind};

use crate::{
    error::TrainError,
    model::{
        Model, ModelError, Outline,
        pattern::{PatternError, Patterns},
    },
    seeds::{Purpose, seed_of},
    spec::{Reinitialize, Scheme, Strategy},
};

/// Applies `strategy` to a model that was just loaded: new weights first, then flags. Gives what a person
/// should know about it, a sentence each.
///
/// # Errors
/// When a glob selects nothing, there are fewer blocks than asked for, the head alone is asked for where
/// there is none, or nothing is left that learns.
pub fn apply(strategy: &Strategy, model: &mut Model, seed: u64) -> Result<Vec<String>, TrainError> {
    let mut warnings = Vec::new();
    for new in &strategy.reinitialize {
        for index in of_model("strategy.reinitialize", model, &new.layers)? {
            if let Some(parameter) = model.parameters().at(index).filter(|_| model.holds(index)) {
                let problem = format!("`{}` takes `{}`, which the adapter leaves as it is", new.layers, parameter.name);
                let help = "train it whole (adapter.modules_to_save), or leave it out of strategy.reinitialize";
                let (field, help) = ("strategy.reinitialize".to_owned(), Some(help.to_owned()));
                return Err(TrainError::Field { field, problem, help });
            }
            model.reinitialize(index, new.init_scheme(), seed_of(seed, Purpose::Reinitialize, 0, index as u64))?;
        }
    }
    for pattern in &strategy.freeze {
        for index in of_model("strategy.freeze", model, pattern)? {
            model.parameters_mut().fix(index);
        }
    }
    if let Some(top) = strategy.train_top_layers {
        if model.adapter().is_some() {
            let problem = "the adapter says what is trained, and the base stays as it is".to_owned();
            let help =
                format!("to adapt the top blocks alone write adapter.target_modules = \"{}\"", top_blocks(model, top));
            let (field, help) = ("strategy.train_top_layers".to_owned(), Some(help));
            return Err(TrainError::Field { field, problem, help });
        }
        let layers = model.layers();
        let lowest = lowest_depth(&layers, top)?;
        if !has_head(&layers) {
            warnings.push(
                "strategy.train_top_layers leaves the output projection frozen: it is the token table \
                 (tie_word_embeddings), which lies below the blocks"
                    .to_string(),
            );
        }
        for index in 0..model.parameters().len() {
            let depth = model.parameters().at(index).and_then(|p| layers.get(p.layer)).map_or(0, |l| l.depth);
            if depth < lowest {
                model.parameters_mut().fix(index);
            }
        }
    }
    if model.parameters().iter().any(|p| p.trainable) {
        Ok(warnings)
    } else {
        Err(TrainError::NothingLearns { cause: "strategy".into() })
    }
}

/// Which parameters `strategy` leaves to learn, told from a model without its values.
///
/// # Errors
/// Those of a run with this strategy.
pub fn learning(strategy: &Strategy, outline: &Outline) -> Result<Vec<bool>, TrainError> {
    let mut learns: Vec<bool> = outline.parameters.iter().map(|parameter| parameter.may_learn).collect();
    for pattern in &strategy.freeze {
        let taken = outline.select(pattern).map_err(|error| named("strategy.freeze", "parameter", error))?;
        taken.into_iter().for_each(|index| learns[index] = false);
    }
    if let Some(top) = strategy.train_top_layers {
        let lowest = lowest_depth(&outline.layers, top)?;
        for (learns, parameter) in learns.iter_mut().zip(&outline.parameters) {
            *learns &= outline.layers[parameter.layer].depth >= lowest;
        }
    }
    if learns.contains(&true) { Ok(learns) } else { Err(TrainError::NothingLearns { cause: "strategy".into() }) }
}

impl Reinitialize {
    fn init_scheme(&self) -> InitScheme {
        match self.scheme {
            Scheme::Zeros => InitScheme::Zeros,
            Scheme::Normal => InitScheme::Normal(self.std.unwrap_or(0.02)),
            Scheme::KaimingUniform => InitScheme::KaimingUniform,
            Scheme::XavierUniform => InitScheme::XavierUniform,
        }
    }
}

/// Depth from which layers learn when only the top `top` blocks do. A block begins with its attention.
fn lowest_depth(layers: &[Layer], top: u32) -> Result<u32, TrainError> {
    let mut blocks: Vec<u32> = layers.iter().filter(|l| l.kind == LayerKind::Attention).map(|l| l.depth).collect();
    blocks.sort_unstable();
    let (top, count, least) = (top as usize, blocks.len(), usize::from(!has_head(layers)));
    let refuse = |problem: String| {
        let problem = format!("{problem}; give a number from {least} to {count}");
        Err(TrainError::field("strategy.train_top_layers", problem))
    };
    if top > count {
        return refuse(format!("the model has {count} blocks, so {top} of them cannot be trained"));
    }
    if top < least {
        return refuse(
            "0 trains the head alone, and this model has none: its output projection is the token table \
             (tie_word_embeddings)"
                .into(),
        );
    }
    if top > 0 {
        return Ok(blocks[count - top]);
    }
    let body = layers.iter().filter(|l| matches!(l.kind, LayerKind::Embedding | LayerKind::Attention | LayerKind::Mlp));
    Ok(body.map(|l| l.depth).max().map_or(0, |depth| depth + 1))
}

/// Whether a layer of its own gives the output; with tied embeddings none does.
fn has_head(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| layer.kind == LayerKind::Head)
}

/// Indices of the parameters that `pattern` takes, by their names or their layers'.
fn of_model(field: &str, model: &Model, pattern: &str) -> Result<Vec<usize>, TrainError> {
    let patterns = Patterns::new(&[pattern.to_string()]).map_err(|error| named(field, "parameter", error))?;
    model.select(&patterns).map_err(|error| match error {
        ModelError::Pattern(error) => named(field, "parameter", error),
        other => other.into(),
    })
}

/// Indices of the layers that `pattern` takes; none is an error of `field`.
pub(crate) fn select_layers<'a>(
    field: &str,
    pattern: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<usize>, TrainError> {
    Patterns::new(&[pattern.to_string()])
        .and_then(|patterns| patterns.select(names))
        .map_err(|error| named(field, "layer", error))
}

fn named(field: &str, what: &'static str, error: PatternError) -> TrainError {
    match error {
        PatternError::NoMatch { pattern, nearest } => {
            TrainError::Pattern { field: field.to_string(), pattern, what, nearest }
        }
        invalid => TrainError::field(field, invalid.to_string()),
    }
}

/// A glob over the last `top` blocks of the model, by its own numbers.
fn top_blocks(model: &Model, top: u32) -> String {
    let shape = &model.config().shape;
    let last = shape.num_hidden_layers.saturating_sub(1);
    match shape.num_hidden_layers.saturating_sub(top.max(1) as usize) {
        first if first >= last => format!("{}.{last}", shape.blocks),
        first => format!("{}.{{{first}..{last}}}", shape.blocks),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn layers() -> Vec<Layer> {
        let layer = |name: &str, depth, kind| Layer { name: name.into(), depth, kind, parameters: 1, trainable: true };
        vec![
            layer("embeddings", 0, LayerKind::Embedding),
            layer("layer.0.attention", 1, LayerKind::Attention),
            layer("layer.0.mlp", 2, LayerKind::Mlp),
            layer("layer.1.attention", 3, LayerKind::Attention),
            layer("layer.1.mlp", 4, LayerKind::Mlp),
            layer("norm", 5, LayerKind::Norm),
            layer("classifier", 6, LayerKind::Head),
        ]
    }

    #[test]
    fn the_top_blocks_are_counted_from_the_head() {
        assert_eq!(lowest_depth(&layers(), 0).unwrap(), 5);
        assert_eq!(lowest_depth(&layers(), 1).unwrap(), 3);
        assert_eq!(lowest_depth(&layers(), 2).unwrap(), 1);
    }

    #[test]
    fn more_blocks_than_there_are_is_an_error_with_the_range() {
        let error = lowest_depth(&layers(), 3).unwrap_err().to_string();
        assert_eq!(
            error,
            "strategy.train_top_layers: the model has 2 blocks, so 3 of them cannot be trained; give a number from 0 to 2"
        );
    }

    #[test]
    fn a_pattern_that_selects_nothing_names_its_field() {
        let error =
            select_layers("policy thaw at step 3", "encodr.**", ["bert.encoder.layer.0.attention"]).unwrap_err();
        assert_eq!(error.to_string(), "policy thaw at step 3: the pattern `encodr.**` matches no layer");
        assert_eq!(error.help().unwrap(), "the nearest names are `encoder`, `encoder.layer` and `encoder.layer.0`");
    }
}
