//! Whether and how the model answers rows of an evaluation set, for metrics that read what it writes.

use std::path::Path;
use std::sync::Arc;

use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result, listed};
use retune_recipe::generating::nothing_asked;
use retune_roles::builtin::BUILTINS;
use retune_roles::{Rows, TaskKind, Tokenizer};
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
    let stop_strings = generate.stop_strings.unwrap_or(own.stop_strings);
    let spec = GenerationSpec {
        max_new_tokens: settings::size(generate.max_new_tokens),
        do_sample: generate.temperature.is_some(),
        temperature: generate.temperature.unwrap_or(1.0),
        top_k: generate.top_k.map_or(0, settings::size),
        top_p: generate.top_p.unwrap_or(1.0),
        min_p: generate.min_p,
        repetition_penalty: generate.repetition_penalty,
        stop_strings: stop_strings.clone(),
        eos_token_id: own.eos_token_id,
        seed: recipe.seed,
        ..GenerationSpec::default()
    };
    let batch_size = settings::size(generate.batch_size);
    let writer = Arc::new(Generated { spec, batch_size, tokenizer: Some(Arc::clone(&tokenizer)) });
    Ok(Some(Asking { writer, tokenizer, rows: settings::size(generate.rows), seed: recipe.seed, stop_strings }))
}

/// What a person should know of rows that are answered and were cut: what they ask, or what is compared, is not whole.
pub fn cut(asking: &Asking, rows: &dyn Rows, max_length: usize) -> Option<String> {
    let chosen = asking.chosen(rows.len());
    let longest = chosen.iter().filter(|row| rows.length(**row) >= max_length).count();
    (longest > 0).then(|| {
        format!(
            "{longest} of the {} validation rows that the model answers fill data.max_length = {max_length}: what was cut off them is \
             missing in the question or in the reference; raise data.max_length to compare all of it",
            chosen.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use retune_roles::{Encoding, Example, Message, Refusal, Sequence, Target};
    use retune_train::model::Model;
    use retune_train::{TrainError, Writer};

    use super::*;

    struct Nobody;

    impl Writer for Nobody {
        fn write(
            &self,
            _: &Model,
            _: &[Vec<u32>],
            _: usize,
            _: &[u32],
            _: &mut dyn FnMut() -> ControlFlow<()>,
        ) -> std::result::Result<Vec<Vec<u32>>, TrainError> {
            Ok(Vec::new())
        }
    }

    impl Tokenizer for Nobody {
        fn name(&self) -> &str {
            "nobody"
        }
        fn vocab_size(&self) -> u32 {
            0
        }
        fn token_id(&self, _: &str) -> Option<u32> {
            None
        }
        fn token_text(&self, _: u32) -> Option<String> {
            None
        }
        fn bos(&self) -> Option<u32> {
            None
        }
        fn eos(&self) -> Option<u32> {
            None
        }
        fn pad(&self) -> Option<u32> {
            None
        }
        fn encode(&self, _: &[String], _: bool) -> std::result::Result<Vec<Encoding>, Refusal> {
            Ok(Vec::new())
        }
        fn decode(&self, _: &[Vec<u32>], _: bool) -> std::result::Result<Vec<String>, Refusal> {
            Ok(Vec::new())
        }
        fn apply_chat_template(&self, _: &[Message], _: bool) -> std::result::Result<(Encoding, Vec<bool>), Refusal> {
            Ok(Default::default())
        }
    }

    #[test]
    fn rows_that_fill_the_longest_length_are_told_of() {
        let (writer, tokenizer) = (Arc::new(Nobody), Arc::new(Nobody));
        let asking = Asking { writer, tokenizer, rows: 9, seed: 1, stop_strings: Vec::new() };
        let row = |length: u32| Example::new("a", Sequence::text((0..length).collect()), Target::None);
        assert_eq!(cut(&asking, &[row(3), row(7)], 8), None);
        let told = cut(&asking, &[row(8), row(7), row(8)], 8).unwrap();
        assert!(
            told.starts_with("2 of the 3 validation rows that the model answers fill data.max_length = 8:"),
            "{told}"
        );
    }
}
