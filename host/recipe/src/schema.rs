//! Every key a recipe may have: its section, type, default and one sentence.
//!
//! One table serves three readers: the parser (which keys exist, and where), the
//! error messages (nearest key, the section a stray key belongs in) and
//! `retune recipe keys` (the reference).

/// One key of a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The section as an error names it; empty for the top level.
    pub section: &'static str,
    /// The key.
    pub name: &'static str,
    /// Its type or its allowed values.
    pub kind: &'static str,
    /// What holds when it is left out; `required` when it may not be.
    pub default: &'static str,
    /// What it does.
    pub about: &'static str,
}

const fn key(
    section: &'static str,
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { section, name, kind, default, about }
}

/// The table, in the order a recipe is written.
pub const KEYS: &[Key] = &[
    key("", "name", "string", "the file's name", "Names the run directory."),
    key("", "seed", "whole number", "42", "Seed for all randomness."),
    key(
        "",
        "device",
        "auto | cpu | cuda:N",
        "auto",
        "Where to train; auto takes the first GPU that works, else the CPU.",
    ),
    key("", "model", "section", "required", "What to start from."),
    key("", "data", "section", "required", "What to learn from."),
    key("", "strategy", "section", "full", "What learns."),
    key("", "loss", "role", "cross-entropy", "What is minimised."),
    key("", "training", "section", "its defaults", "How long, how fast."),
    key("", "evaluation", "section", "its defaults", "How good it is, and when to stop."),
    key("", "export", "section", "none", "A second copy of the result."),
    key(
        "model",
        "base",
        "directory",
        "or `config`",
        "A Hugging Face directory: config.json, model.safetensors, tokenizer.json.",
    ),
    key("model", "config", "file", "or `base`", "A config.json alone: weights are drawn from the seed."),
    key("model", "tokenizer", "directory", "the base's", "Where tokenizer.json is; required with `config`."),
    key("model", "task", "sequence-classification | causal-lm", "required", "What the model is to do."),
    key("data", "train", "file", "required", "csv, jsonl or txt, by extension."),
    key(
        "data",
        "validation",
        "file or { split = 0.1 }",
        "none",
        "Chooses the best model; a split is drawn from `train` by the seed.",
    ),
    key("data", "test", "file", "none", "Evaluated once, after training, with the best model."),
    key(
        "data",
        "format",
        "csv | tsv | jsonl | text | lines",
        "by extension",
        "How the files are written; text: passages between blank lines, lines: one per line.",
    ),
    key("data", "columns", "table", "text, label", "Which columns hold what."),
    key("data", "extra_columns", "list of strings", "[]", "Numeric columns that roles see as `column.<name>`."),
    key("data", "labels", "list of strings", "those found in `train`", "The label set, in the model's order."),
    key("data", "max_length", "whole number", "128", "Tokens per row; longer rows are cut and counted."),
    key(
        "data",
        "layout",
        "rows | blocks",
        "rows; blocks for causal-lm without `completion`",
        "Blocks join documents and cut them into `max_length` tokens.",
    ),
    key(
        "data",
        "limit_per_label",
        "whole number",
        "none",
        "Keeps the first so many training rows of each label, in file order.",
    ),
    key("data", "workers", "whole number", "all cores", "Threads that prepare data; never changes the result."),
    key("data", "preprocess", "list of roles", "[]", "Preprocessors, in order."),
    key("data.columns", "text", "string", "text", "The column with the text."),
    key("data.columns", "text_pair", "string", "none", "The column with the second text of a pair."),
    key("data.columns", "label", "string", "label", "The column with the label (classification)."),
    key(
        "data.columns",
        "prompt",
        "string",
        "none",
        "The column that is shown and not learnt (causal-lm, beside `completion`).",
    ),
    key("data.columns", "completion", "string", "none", "The column that is learnt, in place of `text` (causal-lm)."),
    key("data.validation", "split", "number between 0 and 1", "required", "Share of `train` set aside."),
    key(
        "strategy",
        "method",
        "full | partial",
        "full, or partial when a key here says so",
        "Whether all parameters are trainable.",
    ),
    key("strategy", "freeze", "list of globs", "[]", "Parameters that do not learn."),
    key("strategy", "train_top_layers", "whole number", "none", "Only the top so many blocks and the head learn."),
    key("strategy", "reinitialize", "list of tables", "[]", "Parameters that start anew."),
    key("strategy", "policy", "list of roles", "[]", "Freezing policies, asked as the run goes on."),
    key("strategy.reinitialize", "layers", "glob or list of globs", "required", "Which parameters."),
    key(
        "strategy.reinitialize",
        "scheme",
        "normal | zeros | xavier-uniform | kaiming-uniform",
        "normal",
        "How to draw them.",
    ),
    key("strategy.reinitialize", "std", "number", "0.02", "Standard deviation (normal only)."),
    key("training", "epochs", "whole number", "3", "Passes over the training set."),
    key(
        "training",
        "max_steps",
        "whole number",
        "none",
        "Stops after so many optimiser steps, and plans the schedule for them.",
    ),
    key("training", "batch_size", "whole number", "16", "Rows per micro-batch."),
    key(
        "training",
        "gradient_accumulation_steps",
        "whole number",
        "1",
        "Micro-batches an optimiser step; exact for rows of any length.",
    ),
    key("training", "optimizer", "table", "adamw", "The optimiser."),
    key("training", "lr_scheduler", "table", "linear, 10 % warm-up", "How the learning rate moves."),
    key("training", "max_grad_norm", "number", "1.0", "Clips the global gradient norm; 0 turns clipping off."),
    key("training", "dropout", "boolean", "true", "Whether the config's dropout applies in training."),
    key("training", "checkpoint", "table", "each epoch, keep 2", "When to save, how many to keep."),
    key(
        "training",
        "logging_steps",
        "whole number",
        "1",
        "Steps between two entries of the event log; more than 1 spares a GPU the wait.",
    ),
    key("training.optimizer", "name", "adamw", "adamw", "AdamW, with decay on matrices only."),
    key("training.optimizer", "learning_rate", "number", "5e-5", "Peak learning rate."),
    key("training.optimizer", "weight_decay", "number", "0.01", "Decoupled weight decay."),
    key("training.optimizer", "beta1", "number", "0.9", "Decay of the first moment."),
    key("training.optimizer", "beta2", "number", "0.999", "Decay of the second moment."),
    key("training.optimizer", "epsilon", "number", "1e-8", "Added to the root of the second moment."),
    key("training.lr_scheduler", "name", "linear | cosine | constant", "linear", "Shape after warm-up."),
    key("training.lr_scheduler", "warmup_steps", "whole number", "or `warmup_ratio`", "Optimiser steps of warm-up."),
    key("training.lr_scheduler", "warmup_ratio", "number between 0 and 1", "0.1", "Warm-up as a share of all steps."),
    key("training.checkpoint", "every_steps", "whole number", "each epoch", "Optimiser steps between checkpoints."),
    key("training.checkpoint", "keep", "whole number", "2", "How many checkpoints stay on disk."),
    key("evaluation", "every", "epoch | never | { steps = N }", "epoch", "When to evaluate on the validation set."),
    key("evaluation", "batch_size", "whole number", "32", "Rows an evaluation batch."),
    key(
        "evaluation",
        "metrics",
        "list of names and roles",
        "[\"accuracy\"]; [\"perplexity\"] for causal-lm",
        "What to measure.",
    ),
    key("evaluation", "best", "table", "lowest validation loss", "Which evaluation chooses the model."),
    key("evaluation", "early_stopping", "table", "none", "Ends the run when the best no longer improves."),
    key("evaluation.every", "steps", "whole number", "required", "Optimiser steps between evaluations."),
    key("evaluation.best", "metric", "string", "loss", "A value of one of the metrics, or `loss`."),
    key("evaluation.best", "mode", "min | max", "what the metric says", "Which way is better."),
    key(
        "evaluation.early_stopping",
        "patience",
        "whole number",
        "required",
        "Evaluations without improvement before the run ends.",
    ),
    key("evaluation.early_stopping", "min_delta", "number", "0", "What counts as an improvement."),
    key("export", "directory", "directory", "required", "Where the second copy goes, in Hugging Face layout."),
    key("role", "plugin", "file", "or `builtin`", "A WebAssembly component."),
    key("role", "builtin", "string", "or `plugin`", "One of retune's own."),
    key("role", "config", "table", "{}", "Checked against the role's schema."),
    key("role", "limits", "table", "see `retune plugin inspect`", "Sandbox limits (plugins only)."),
];

/// The keys of `section`, in order.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> + '_ {
    KEYS.iter().filter(move |k| k.section == section)
}

/// Other systems' names for our keys: what users type first.
const SYNONYMS: &[(&str, &str)] = &[
    ("lr", "learning_rate"),
    ("num_epochs", "epochs"),
    ("num_train_epochs", "epochs"),
    ("per_device_train_batch_size", "batch_size"),
    ("micro_batch_size", "batch_size"),
    ("gradient_accumulation", "gradient_accumulation_steps"),
    ("lr_scheduler_type", "lr_scheduler"),
    ("scheduler", "lr_scheduler"),
    ("clip_grad_norm", "max_grad_norm"),
    ("model_name_or_path", "base"),
    ("base_model", "base"),
    ("val", "validation"),
    ("val_set_size", "validation"),
    ("max_seq_length", "max_length"),
    ("sequence_len", "max_length"),
    ("max_seq_len", "max_length"),
    ("save_steps", "checkpoint"),
    ("save_total_limit", "keep"),
    ("eval_steps", "every"),
    ("eval", "evaluation"),
    ("wasm", "plugin"),
    ("output_dir", "directory"),
    ("eps", "epsilon"),
    ("unfreeze_top_layers", "train_top_layers"),
];

/// Our name for a key another system calls `name`.
pub fn synonym(name: &str) -> Option<&'static str> {
    SYNONYMS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// The sections other than `here` that have a key `name`.
pub fn sections_with(name: &str, here: &str) -> Vec<&'static str> {
    KEYS.iter().filter(|k| k.name == name && k.section != here && k.section != "role").map(|k| k.section).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice_in_a_section() {
        for (i, a) in KEYS.iter().enumerate() {
            assert!(
                KEYS[i + 1..].iter().all(|b| (a.section, a.name) != (b.section, b.name)),
                "{}.{}",
                a.section,
                a.name
            );
        }
    }

    #[test]
    fn every_synonym_points_at_a_key() {
        for (theirs, ours) in SYNONYMS {
            assert!(KEYS.iter().any(|k| k.name == *ours), "{theirs} -> {ours}");
            assert!(KEYS.iter().all(|k| k.name != *theirs), "{theirs} is a key of ours");
        }
    }
}
