//! Whether and how the model answers rows of an evaluation set, for metrics that read what it writes.

use std::path::Path;
use std::sync::Arc;

use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result, listed};
use retune_recipe::generating::nothing_asked;
use retune_roles::builtin::BUILTINS;
use retune_roles::{TaskKind, Tokenizer};
use retune_train::generation::GenerationSpec;
use retune_train::{Asking, Generated};

use crate::role::{Origin, Role};
use crate::{locate, settings};

/// What `evaluation.generate` and the metrics ask of each other.
pub fn check(recipe: &Recipe, metrics: &[Role]) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    let place = "evaluation.generate";
    if recipe.place(place).is_some() && !metrics.iter().any(|role| role.reads().texts) {
        let built_in = BUILTINS.iter().filter(|builtin| builtin.reads_texts()).map(|builtin| builtin.name);
        let message = format!("`{place}` is given, and no metric reads what the model writes");
        wrong.push(recipe.diagnostic(message, recipe.place(place), "generated for nobody").help(format!(
            "add a metric that does to evaluation.metrics (built in: {}), or remove this",
            listed(built_in)
        )));
    }
    for role in metrics.iter().filter(|role| !role.reads().tensors) {
        let key = match role.origin {
            Origin::Plugin { .. } => format!("{}.plugin", role.path),
            Origin::Builtin(_) => role.path.clone(),
        };
        let at = recipe.nearest_place(&key);
        let name = role.name();
        if recipe.model.task != TaskKind::CausalLm {
            let message =
                format!("`{name}` reads what the model writes, and a model for {} writes nothing", recipe.model.task);
            wrong.push(
                recipe
                    .diagnostic(message, at, "never fed")
                    .help("use a metric that reads what is computed (`tensor-metric`)"),
            );
        } else if let (Some([reason, _, help]), None) = (nothing_asked(recipe), recipe.place(place)) {
            let message = format!("`{name}` reads what the model writes, and it has nothing to answer: {reason}");
            wrong.push(recipe.diagnostic(message, at, "never fed").help(format!("{help}; or leave the metric out")));
        }
    }
    wrong
}

/// How rows are asked by the model in `directory`, whose files say which tokens end a text; nothing where rows ask nothing.
pub fn asking(recipe: &Recipe, directory: &Path, tokenizer: Arc<dyn Tokenizer>) -> Result<Option<Asking>> {
    if recipe.model.task != TaskKind::CausalLm || nothing_asked(recipe).is_some() {
        return Ok(None);
    }
    let generate = recipe.evaluation.generate.clone().unwrap_or_default();
    let own = GenerationSpec::of_model(directory).map_err(|e| locate::model(recipe, &e))?.0;
    let spec = GenerationSpec {
        max_new_tokens: settings::size(generate.max_new_tokens),
        do_sample: generate.temperature.is_some(),
        temperature: generate.temperature.unwrap_or(1.0),
        top_k: generate.top_k.map_or(0, settings::size),
        top_p: generate.top_p.unwrap_or(1.0),
        eos_token_id: own.eos_token_id,
        seed: recipe.seed,
        ..GenerationSpec::default()
    };
    let writer = Generated { spec, batch_size: settings::size(generate.batch_size) };
    Ok(Some(Asking { writer: Arc::new(writer), tokenizer, rows: settings::size(generate.rows), seed: recipe.seed }))
}
