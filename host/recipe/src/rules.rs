//! What keys ask of one another: rules that no schema of a single value can say.
//!
//! A rule speaks only of keys that were written, and of the task only where it is known;
//! what else is wrong with them has been reported.

use std::path::Path;

use retune_data::{Date, Layout, TAKEN};
use retune_roles::TaskKind;

use crate::derived::fit_for_a_name;
use crate::generating;
use crate::place::Place;
use crate::problems::Problems;
use crate::recipe::Recipe;
use crate::sections::{Every, Method, RoleRef, RoleSource, Scheme, Validation};

/// Extensions that say the format.
const EXTENSIONS: &[&str] = &["csv", "tsv", "jsonl", "ndjson", "txt", "text", "conll"];

/// Reports every rule that `recipe` breaks.
pub fn check(recipe: &Recipe, problems: &mut Problems) {
    let mut rules = Rules { recipe, problems };
    rules.name();
    rules.model();
    rules.files();
    rules.labels();
    rules.columns();
    rules.chat();
    rules.adapter();
    rules.strategy();
    rules.warmup();
    rules.evaluation();
    generating::check(recipe, rules.problems);
    for role in recipe.roles() {
        rules.role(role);
    }
}

struct Rules<'a> {
    recipe: &'a Recipe,
    problems: &'a mut Problems,
}

impl<'a> Rules<'a> {
    fn at(&self, key: &str) -> Option<&'a Place> {
        self.recipe.place(key)
    }

    /// Reports that the value of `key` breaks a rule.
    fn broken(&mut self, key: &str, message: impl Into<String>, label: &str, help: &str) {
        if let Some(place) = self.at(key) {
            self.problems.add(place, message, label, (!help.is_empty()).then(|| help.to_owned()));
        }
    }

    /// Whether the task is known, and has labels.
    fn labelled(&self) -> Option<bool> {
        self.at("model.task").map(|_| self.recipe.model.task.info().has_labels)
    }

    fn name(&mut self) {
        let name = &self.recipe.name;
        if !name.chars().all(fit_for_a_name) || name.starts_with('.') {
            let message = format!("`name` cannot be `{name}`");
            let label = "letters, digits, `-`, `_` and `.` only, and no `.` at the beginning";
            self.broken("name", message, label, "the run directory is named after it");
        }
    }

    fn model(&mut self) {
        let [model, base, config, tokenizer] =
            ["model", "model.base", "model.config", "model.tokenizer"].map(|key| self.at(key));
        let Some(model) = model else { return };
        match (base, config) {
            (Some(_), Some(_)) => self.broken(
                "model.config",
                "`model` has both `base` and `config`",
                "leave one out",
                "`base` loads weights; `config` draws them from the seed",
            ),
            (None, None) => self.problems.add(
                model,
                "`base` is missing in [model]",
                "needed here",
                Some(
                    "write base = \"a Hugging Face directory\", or config = \"config.json\" for random weights".into(),
                ),
            ),
            (None, Some(_)) if tokenizer.is_none() => self.problems.add(
                model,
                "`tokenizer` is missing in [model]",
                "needed here",
                Some("`config` brings no tokenizer: write tokenizer = \"directory with tokenizer.json\"".into()),
            ),
            _ => {}
        }
    }

    fn files(&mut self) {
        let data = &self.recipe.data;
        let files = [
            ("data.train", Some(&*data.train)),
            ("data.validation", data.validation_file()),
            ("data.test", data.test.as_deref()),
        ];
        for (key, file) in files {
            let Some(file) = file.filter(|file| data.format.is_none() && *file != Path::new("")) else { continue };
            let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
            if !EXTENSIONS.contains(&extension.as_str()) {
                let label = if extension.is_empty() { "no extension".to_owned() } else { format!("`.{extension}`") };
                self.broken(
                    key,
                    format!("`{key}` has no extension retune reads"),
                    &label,
                    "allowed: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.txt`, `.conll`; or say it: format = \"csv\"",
                );
            }
        }
    }

    fn labels(&mut self) {
        let Some(labels) = &self.recipe.data.labels else { return };
        let regression = self.at("model.task").is_some() && self.recipe.model.task == TaskKind::Regression;
        match self.labelled() {
            Some(false) => self.no_meaning("data.labels"),
            _ if regression => self.broken(
                "data.labels",
                "`data.labels` has no meaning for regression",
                "remove this",
                "the numbers are named after their columns",
            ),
            _ if self.recipe.data.columns.labels.is_some() => self.broken(
                "data.labels",
                "`data.labels` has no effect beside `data.columns.labels`",
                "leave one out",
                "the labels are named after their columns",
            ),
            _ if labels.len() < 2 => self.broken(
                "data.labels",
                "`data.labels` needs at least two labels",
                &format!("{} here", labels.len()),
                "leave it out to take the labels found in `train`",
            ),
            _ => {
                for (i, label) in labels.iter().enumerate().filter(|(i, label)| labels[..*i].contains(label)) {
                    let message = format!("`data.labels` has `{label}` twice");
                    self.broken(&format!("data.labels[{i}]"), message, "the second one", "");
                }
            }
        }
    }

    /// Reports a key that the task has no use for.
    fn no_meaning(&mut self, key: &str) {
        let message = format!("`{key}` has no meaning for {}", self.recipe.model.task);
        self.broken(key, message, "remove this", "");
    }

    fn columns(&mut self) {
        let data = &self.recipe.data;
        let limited = self.at("data.limit_per_label").is_some();
        let task_of_many = [TaskKind::TokenClassification, TaskKind::MultiLabelClassification, TaskKind::Regression];
        if limited && task_of_many.contains(&self.recipe.model.task) {
            self.no_meaning("data.limit_per_label");
        } else if limited && data.columns.label.is_none() {
            self.broken(
                "data.limit_per_label",
                "`data.limit_per_label` needs a label column",
                "no label to count by",
                "name one: columns = { label = \"…\" }, or remove this",
            );
        }
        if data.group_by.is_some() && !matches!(data.validation, Some(Validation::Split { .. })) {
            self.broken(
                "data.group_by",
                "`data.group_by` needs a validation split",
                "nothing is split",
                "write validation = { split = 0.1 }, or remove this",
            );
        }
        if data.layout == Layout::Packed && !data.extra_columns.is_empty() {
            self.broken(
                "data.extra_columns",
                "`data.extra_columns` cannot be read where rows are packed",
                "a packed sequence has several rows, and no one value",
                "remove this, or write layout = \"rows\"",
            );
        }
        let task = self.at("model.task").map(|_| self.recipe.model.task);
        if let Some(other) = task.filter(|task| *task != TaskKind::TokenClassification) {
            let keys = ["data.columns.tokens", "data.columns.tags", "data.label_all_tokens"];
            for key in keys.into_iter().filter(|key| *key != "data.label_all_tokens" || data.label_all_tokens) {
                let message = format!("`{key}` has no meaning for {other}");
                self.broken(key, message, "remove this", "words are labelled by task = \"token-classification\"");
            }
        }
        if let Some(task) = task {
            self.several(task);
        }
        if let Some(other) = task.filter(|task| *task != TaskKind::MaskedLm) {
            let message = format!("`data.mask` has no meaning for {other}");
            self.broken("data.mask", message, "remove this", "tokens are hidden for task = \"masked-lm\"");
        }
        match task {
            None => {}
            Some(TaskKind::TokenClassification) => {
                for key in ["text", "text_pair", "label", "messages", "prompt", "completion"] {
                    let message = format!("`data.columns.{key}` has no meaning for token-classification");
                    let help =
                        "write columns = { tokens = \"…\", tags = \"…\" }: a list of words, and one of their tags";
                    self.broken(&format!("data.columns.{key}"), message, "not read", help);
                }
                self.row_by_row("a tag belongs to a word of its row");
            }
            Some(TaskKind::MaskedLm) => {
                for key in ["text_pair", "messages", "prompt", "completion"] {
                    self.no_meaning(&format!("data.columns.{key}"));
                }
                self.unpacked();
                if !limited {
                    let message = "`data.columns.label` has no meaning for masked-lm without `limit_per_label`";
                    self.broken("data.columns.label", message, "remove this", "");
                }
            }
            Some(
                task @ (TaskKind::SequenceClassification | TaskKind::MultiLabelClassification | TaskKind::Regression),
            ) => {
                self.no_meaning("data.columns.messages");
                self.no_meaning("data.columns.prompt");
                self.no_meaning("data.columns.completion");
                let what = if task == TaskKind::Regression { "a number" } else { "a label" };
                self.row_by_row(&format!("{what} belongs to a row"));
            }
            Some(TaskKind::CausalLm) => {
                self.no_meaning("data.columns.text_pair");
                if !limited {
                    let message = "`data.columns.label` has no meaning for causal-lm without `limit_per_label`";
                    self.broken("data.columns.label", message, "remove this", "");
                }
                let both = "write columns = { prompt = \"…\", completion = \"…\" }";
                if data.columns.messages.is_some() {
                    for key in ["data.columns.text", "data.columns.prompt", "data.columns.completion"] {
                        let message = format!("`{key}` is not read where `messages` is given");
                        self.broken(
                            key,
                            message,
                            "leave one out",
                            "`messages` names the column with the whole conversation",
                        );
                    }
                } else if data.columns.completion.is_some() {
                    let message = "`data.columns.text` is not read where `completion` is given";
                    self.broken("data.columns.text", message, "did you mean `prompt`?", both);
                } else {
                    let message = "`data.columns.prompt` needs `completion` beside it";
                    self.broken("data.columns.prompt", message, "nothing would be learnt", both);
                }
            }
        }
    }

    /// Keys for any number of labels a row, and for numbers.
    fn several(&mut self, task: TaskKind) {
        let columns = &self.recipe.data.columns;
        let labels = columns.labels.as_deref().unwrap_or_default();
        if !matches!(task, TaskKind::MultiLabelClassification | TaskKind::Regression) {
            let message = format!("`data.columns.labels` has no meaning for {task}");
            let help =
                "several columns are for task = \"multi-label-classification\" or \"regression\"; one label is `label`";
            self.broken("data.columns.labels", message, "remove this", help);
        } else if columns.labels.is_some() && columns.label.is_some() {
            let message = "`data.columns` has both `label` and `labels`";
            let help = "`label` is one column with all of them, `labels` a column for each";
            self.broken("data.columns.label", message, "leave one out", help);
        }
        for (i, column) in labels.iter().enumerate().filter(|(i, column)| labels[..*i].contains(column)) {
            let message = format!("`data.columns.labels` has `{column}` twice");
            self.broken(&format!("data.columns.labels[{i}]"), message, "the second one", "");
        }
        if task == TaskKind::MultiLabelClassification && labels.len() == 1 {
            let message = "`data.columns.labels` needs at least two columns for multi-label-classification";
            self.broken("data.columns.labels", message, "one here", "a single yes or no is a sequence-classification");
        }
        let reason = match task {
            TaskKind::MultiLabelClassification if columns.labels.is_none() => return,
            TaskKind::MultiLabelClassification => {
                "`data.columns.label_separator` has no effect beside `labels`".to_owned()
            }
            other => format!("`data.columns.label_separator` has no meaning for {other}"),
        };
        self.broken("data.columns.label_separator", reason, "remove this", "it stands between the labels in `label`");
    }

    /// Refuses to join rows, because of `why`.
    fn row_by_row(&mut self, why: &str) {
        let help = "write layout = \"rows\", or leave it out";
        match self.recipe.data.layout {
            Layout::Rows => {}
            Layout::Blocks => {
                let message = format!("`data.layout` cannot be `blocks` for {}", self.recipe.model.task);
                self.broken("data.layout", message, why, help);
            }
            Layout::Packed => self.unpacked(),
        }
    }

    /// Refuses packing, for a task other than that of the next token.
    fn unpacked(&mut self) {
        if self.recipe.data.layout == Layout::Packed {
            let message = format!("`data.layout` cannot be `packed` for {}", self.recipe.model.task);
            let help = "write layout = \"rows\", or leave it out: batches have no padding that packing could save";
            self.broken("data.layout", message, "only rows of causal-lm share a sequence", help);
        }
    }

    fn chat(&mut self) {
        let (columns, chat) = (&self.recipe.data.columns, &self.recipe.data.chat);
        if columns.messages.is_none() {
            let message = "`data.columns.tools` needs `messages` beside it";
            let help = "write columns = { messages = \"…\", tools = \"…\" }";
            self.broken("data.columns.tools", message, "told to nobody", help);
        }
        let Some(chat) = chat else { return };
        if self.at("model.task").is_some() && self.recipe.model.task != TaskKind::CausalLm {
            return self.no_meaning("data.chat");
        }
        match (&columns.messages, &columns.completion) {
            (Some(_), _) if chat.wrap => self.broken(
                "data.chat.wrap",
                "`data.chat.wrap` is for prompt and completion, and `messages` is given",
                "has no effect on messages",
                "remove this, or name columns = { prompt = \"…\", completion = \"…\" }",
            ),
            (None, None) => self.broken(
                "data.chat",
                "`data.chat` needs conversations, and no column holds them",
                "has no effect on texts",
                "write columns = { messages = \"…\" }, or prompt and completion with wrap = true here",
            ),
            (None, Some(_)) if !chat.wrap => self.broken(
                "data.chat",
                "`data.chat` has no effect on prompt and completion as they are",
                "no conversation",
                "write wrap = true here to take them as one; without a template, remove this",
            ),
            (None, Some(_)) if columns.prompt.is_none() => self.broken(
                "data.chat.wrap",
                "`data.chat.wrap` needs `prompt` beside `completion`",
                "nobody asks",
                "write columns = { prompt = \"…\", completion = \"…\" }",
            ),
            _ => {}
        }
        if self.recipe.data.layout == Layout::Blocks {
            let message = "`data.layout` cannot be `blocks` for conversations";
            self.broken("data.layout", message, "a conversation is a row", "write layout = \"rows\", or leave it out");
        }
        if let Some(date) = chat.date.as_deref().filter(|date| Date::parse(date).is_none()) {
            let message = format!("`data.chat.date` is `{date}`, which is no day");
            self.broken("data.chat.date", message, "expected a day", "write date = \"2026-11-26\"");
        }
        if let Some(name) = chat.variables.keys().find(|name| TAKEN.contains(&name.as_str())) {
            let message = format!("`data.chat.variables` cannot set `{name}`, which every template is given");
            self.broken(&format!("data.chat.variables.{name}"), message, "another name", "");
        }
    }

    fn adapter(&mut self) {
        if self.recipe.adapter.is_none() {
            self.broken(
                "export.format",
                "`export.format` says what is written of an adapter, and there is none",
                "without [adapter] the model is written",
                "remove this key, or add [adapter]",
            );
            return;
        }
        self.broken(
            "model.config",
            "`adapter` needs a trained model to sit beside, and `model.config` draws random weights",
            "no base",
            "write base = \"a Hugging Face directory\", or remove [adapter]",
        );
        self.broken(
            "strategy.train_top_layers",
            "`strategy.train_top_layers` and `adapter` cannot both say what is trained",
            "the adapter trains itself, and the base stays as it is",
            "to adapt the top blocks alone name them in target_modules of [adapter] (`retune model inspect` shows their names); or \
             remove [adapter]",
        );
        for i in 0..self.recipe.strategy.freeze.len() {
            if ["**", "*"].contains(&self.recipe.strategy.freeze[i].as_str()) {
                self.broken(
                    &format!("strategy.freeze[{i}]"),
                    "`strategy.freeze` takes every parameter, that of the adapter too",
                    "nothing would learn",
                    "remove this: with [adapter] the base is frozen without it",
                );
            }
        }
        if self.at("strategy.method").is_some() && self.recipe.strategy.method == Method::Full {
            self.broken(
                "strategy.method",
                "`strategy.method` is `full`, and `adapter` leaves the base as it is",
                "one or the other",
                "remove this, or remove [adapter] to train all parameters",
            );
        }
    }

    fn strategy(&mut self) {
        let strategy = &self.recipe.strategy;
        let narrowing = ["strategy.freeze", "strategy.train_top_layers"]
            .into_iter()
            .find(|key| self.at(key).is_some() && !(*key == "strategy.freeze" && strategy.freeze.is_empty()));
        match (self.at("strategy.method"), strategy.method, narrowing) {
            (Some(_), Method::Full, Some(key)) => self.broken(
                key,
                "`strategy.method` is `full`, and this freezes parameters",
                "has no effect with `full`",
                "write method = \"partial\", or remove this key",
            ),
            (Some(_), Method::Partial, None)
                if self.at("strategy.policy").is_none() && self.recipe.adapter.is_none() =>
            {
                self.broken(
                    "strategy.method",
                    "`strategy.method` is `partial`, and nothing says what is frozen",
                    "partial of what?",
                    "add `freeze`, `train_top_layers` or a [[strategy.policy]]",
                )
            }
            _ => {}
        }
        for (i, item) in strategy.reinitialize.iter().enumerate() {
            if item.scheme != Scheme::Normal {
                let key = format!("strategy.reinitialize[{i}].std");
                let message = format!("`{key}` has no effect on this scheme");
                self.broken(&key, message, "only `normal` has one", "");
            }
        }
    }

    fn warmup(&mut self) {
        let scheduler = "training.lr_scheduler";
        let [steps, ratio] = ["warmup_steps", "warmup_ratio"].map(|key| format!("{scheduler}.{key}"));
        if self.at(&steps).is_some() {
            let message = format!("`{scheduler}` has both `warmup_steps` and `warmup_ratio`");
            self.broken(&ratio, message, "leave one out", "");
        }
    }

    fn evaluation(&mut self) {
        if self.at("data.validation").is_some() || self.at("data").is_none() {
            return;
        }
        let every = self.at("evaluation.every").is_some() && self.recipe.evaluation.every != Every::Never;
        let [best, stopping] = ["evaluation.best", "evaluation.early_stopping"];
        let key = match every {
            true => "evaluation.every",
            false if self.at(best).is_some() => best,
            false => stopping,
        };
        let message = format!("`{key}` needs a validation set, and there is none");
        self.broken(key, message, "nothing to evaluate on", "add validation = { split = 0.1 } to [data]");
    }

    fn role(&mut self, role: &RoleRef) {
        let path = &role.path;
        let [plugin, builtin, limits] = ["plugin", "builtin", "limits"].map(|key| format!("{path}.{key}"));
        match (self.at(&plugin), self.at(&builtin)) {
            (Some(_), Some(_)) => {
                let message = format!("`{path}` has both `plugin` and `builtin`");
                self.broken(&builtin, message, "leave one out", "");
            }
            (None, None) if matches!(&role.source, RoleSource::Builtin(name) if name.is_empty()) => self.broken(
                path,
                format!("`plugin` is missing in [{path}]"),
                "needed here",
                "write plugin = \"file.wasm\", or builtin = \"name\"",
            ),
            (None, Some(_)) => {
                let message = format!("`{limits}` has no effect on a built-in");
                self.broken(&limits, message, "only plugins are sandboxed", "remove it");
            }
            _ => {}
        }
    }
}
