//! What `evaluation.generate` asks of other keys: somebody who asks, an answer to compare with, and rows to do it on.

use retune_data::{Layout, Learn};
use retune_roles::TaskKind;

use crate::problems::Problems;
use crate::recipe::Recipe;

const KEY: &str = "evaluation.generate";

/// Why no row of `recipe` can be answered: what is wrong, a label, what to do about it. The task is taken to be causal-lm.
pub fn nothing_asked(recipe: &Recipe) -> Option<[&'static str; 3]> {
    let (data, columns) = (&recipe.data, &recipe.data.columns);
    let all = data.chat.as_ref().is_some_and(|chat| chat.learn == Learn::All);
    let name = "name columns = { messages = \"…\" }, or prompt and completion";
    match (&columns.messages, &columns.completion) {
        (None, None) => Some(["rows of text ask nothing", "texts have no prompt", name]),
        (None, Some(_)) if columns.prompt.is_none() => {
            Some(["`completion` without `prompt` asks nothing", "nobody asks", name])
        }
        _ if all => {
            let help = "write learn = \"assistant\" or \"last\" in data.chat";
            Some(["where all of a conversation is learnt, no turn is the answer", "nothing to compare with", help])
        }
        _ if data.layout == Layout::Blocks => {
            Some(["blocks ask nothing", "a block has no prompt", "write layout = \"rows\" in [data]"])
        }
        _ => None,
    }
}

/// Reports what `evaluation.generate` lacks, where it is written.
pub fn check(recipe: &Recipe, problems: &mut Problems) {
    let (Some(place), Some(generate)) = (recipe.place(KEY), &recipe.evaluation.generate) else { return };
    if recipe.place("model.task").is_none() {
        return;
    }
    if recipe.model.task != TaskKind::CausalLm {
        let message = format!("`{KEY}` has no meaning for {}", recipe.model.task);
        let help = "a model for causal-lm writes texts; metrics of other tasks read what is computed";
        return problems.add(place, message, "remove this", Some(help.to_owned()));
    }
    if let Some([reason, label, help]) = nothing_asked(recipe) {
        problems.add(
            place,
            format!("`{KEY}` has nothing to answer: {reason}"),
            label,
            Some(format!("{help}; or remove this")),
        );
    }
    if recipe.data.validation.is_none() && recipe.data.test.is_none() {
        let message = format!("`{KEY}` needs a validation or test set, and there is none");
        let help = "add validation = { split = 0.1 } to [data]";
        problems.add(place, message, "nothing to evaluate on", Some(help.to_owned()));
    }
    for key in ["top_k", "top_p", "min_p"].map(|key| format!("{KEY}.{key}")) {
        if let (None, Some(place)) = (generate.temperature, recipe.place(&key)) {
            let message = format!("`{key}` has no effect without a temperature");
            let help = "write temperature = 1.0 beside it, or remove it";
            problems.add(place, message, "the most probable token is taken", Some(help.to_owned()));
        }
    }
}
