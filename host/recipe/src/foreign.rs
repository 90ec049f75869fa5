//! What other systems call things: keys that users of transformers, peft, trl and axolotl type
//! first, and what they are here.

/// What another system's key is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Our key, with its section: `training.epochs`.
    Key(&'static str),
    /// Said in another way.
    Write(&'static str),
    /// Nothing: the subject and verb of "… not supported yet".
    NotYet(&'static str),
    /// Nothing to set: a sentence.
    Always(&'static str),
}

use Meaning::{Always, Key, NotYet, Write};

/// What another system's key `name` is here.
pub fn meaning(name: &str) -> Option<Meaning> {
    WORDS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// What another system calls a task, by our name for it.
pub fn task(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase().replace(['_', ' '], "-");
    TASKS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

const TASKS: [(&str, &str); 19] = [
    ("chat", "causal-lm"),
    ("conversational", "causal-lm"),
    ("instruct", "causal-lm"),
    ("instruction-tuning", "causal-lm"),
    ("sft", "causal-lm"),
    ("completion", "causal-lm"),
    ("generation", "causal-lm"),
    ("text-generation", "causal-lm"),
    ("language-modeling", "causal-lm"),
    ("pretraining", "causal-lm"),
    ("lm", "causal-lm"),
    ("classification", "sequence-classification"),
    ("text-classification", "sequence-classification"),
    ("seq-cls", "sequence-classification"),
    ("ner", "token-classification"),
    ("tagging", "token-classification"),
    ("token-cls", "token-classification"),
    ("mlm", "masked-lm"),
    ("fill-mask", "masked-lm"),
];

const QUANTIZED: Meaning = NotYet("quantized base models are");
const WORDS: &[(&str, Meaning)] = &[
    // Rates and lengths.
    ("lr", Key("training.optimizer.learning_rate")),
    ("learning_rate_scheduler", Key("training.lr_scheduler")),
    ("num_epochs", Key("training.epochs")),
    ("num_train_epochs", Key("training.epochs")),
    ("per_device_train_batch_size", Key("training.batch_size")),
    ("train_batch_size", Key("training.batch_size")),
    ("micro_batch_size", Key("training.batch_size")),
    ("per_device_eval_batch_size", Key("evaluation.batch_size")),
    ("eval_batch_size", Key("evaluation.batch_size")),
    ("gradient_accumulation", Key("training.gradient_accumulation_steps")),
    ("optim", Key("training.optimizer")),
    ("adam_beta1", Key("training.optimizer.beta1")),
    ("adam_beta2", Key("training.optimizer.beta2")),
    ("adam_epsilon", Key("training.optimizer.epsilon")),
    ("eps", Key("training.optimizer.epsilon")),
    ("lr_scheduler_type", Key("training.lr_scheduler")),
    ("scheduler", Key("training.lr_scheduler")),
    ("num_warmup_steps", Key("training.lr_scheduler.warmup_steps")),
    ("clip_grad_norm", Key("training.max_grad_norm")),
    ("gradient_clipping", Key("training.max_grad_norm")),
    ("disable_dropout", Write("dropout = false in [training]")),
    // Saving, logging, measuring.
    ("save_steps", Key("training.checkpoint.every_steps")),
    (
        "save_strategy",
        Write("checkpoint = { every_steps = 100 } in [training], or leave it out to save after each epoch"),
    ),
    ("save_total_limit", Key("training.checkpoint.keep")),
    ("eval_steps", Write("every = { steps = 100 } in [evaluation]")),
    ("eval_strategy", Key("evaluation.every")),
    ("evaluation_strategy", Key("evaluation.every")),
    ("evals_per_epoch", Key("evaluation.every")),
    ("eval", Key("evaluation")),
    ("metric_for_best_model", Write("best = { metric = \"accuracy\" } in [evaluation]")),
    ("greater_is_better", Write("best = { metric = \"…\", mode = \"max\" } in [evaluation]")),
    ("load_best_model_at_end", Always("always so: the best model by validation is exported (`best` in [evaluation])")),
    ("early_stopping_patience", Write("early_stopping = { patience = 3 } in [evaluation]")),
    ("early_stopping_threshold", Write("early_stopping = { patience = 3, min_delta = 0.01 } in [evaluation]")),
    ("resume_from_checkpoint", Always("give `--resume` on the command line")),
    ("report_to", Always("every run writes events.jsonl and report.html; other trackers are not supported yet")),
    ("wandb_project", Always("every run writes events.jsonl and report.html; other trackers are not supported yet")),
    ("output_dir", Always("give `--output` on the command line, or [export] for a second copy of the model")),
    ("overwrite_output_dir", Always("a run directory is never overwritten; `--output` names another")),
    // Model.
    ("model_name_or_path", Key("model.base")),
    ("base_model", Key("model.base")),
    ("tokenizer_name_or_path", Key("model.tokenizer")),
    ("tokenizer_name", Key("model.tokenizer")),
    ("task_type", Key("model.task")),
    ("num_labels", Key("data.labels")),
    ("id2label", Key("data.labels")),
    ("unfreeze_top_layers", Key("strategy.train_top_layers")),
    ("unfrozen_parameters", Key("strategy.freeze")),
    ("modules_to_freeze", Key("strategy.freeze")),
    // Adapters.
    ("peft_config", Key("adapter")),
    ("lora", Key("adapter")),
    ("lora_config", Key("adapter")),
    ("finetuning_type", Key("adapter")),
    ("lora_r", Key("adapter.r")),
    ("lora_rank", Key("adapter.r")),
    ("rank", Key("adapter.r")),
    ("alpha", Key("adapter.lora_alpha")),
    ("lora_target", Key("adapter.target_modules")),
    ("lora_target_modules", Key("adapter.target_modules")),
    ("lora_target_linear", Write("target_modules = \"all-linear\" in [adapter], which is the default")),
    ("lora_modules_to_save", Key("adapter.modules_to_save")),
    ("additional_target", Key("adapter.modules_to_save")),
    ("use_dora", Write("method = \"dora\" in [adapter]")),
    ("peft_use_dora", Write("method = \"dora\" in [adapter]")),
    ("peft_use_rslora", Key("adapter.use_rslora")),
    ("peft_init_lora_weights", Key("adapter.init_lora_weights")),
    ("layers_to_transform", Write("target_modules = \"layers.{0..3}\" in [adapter]")),
    ("peft_layers_to_transform", Write("target_modules = \"layers.{0..3}\" in [adapter]")),
    ("loraplus_lr_embedding", NotYet("a rate of its own for adapted embeddings is")),
    // Data.
    ("datasets", Key("data.train")),
    ("dataset", Key("data.train")),
    ("train_file", Key("data.train")),
    ("val", Key("data.validation")),
    ("validation_file", Key("data.validation")),
    ("val_set_size", Write("validation = { split = 0.1 } in [data]")),
    ("test_file", Key("data.test")),
    ("max_seq_length", Key("data.max_length")),
    ("sequence_len", Key("data.max_length")),
    ("max_seq_len", Key("data.max_length")),
    ("cutoff_len", Key("data.max_length")),
    ("model_max_length", Key("data.max_length")),
    ("text_column", Key("data.columns.text")),
    ("dataset_text_field", Key("data.columns.text")),
    ("label_column", Key("data.columns.label")),
    ("chat_template", Key("data.chat.template")),
    ("chat_template_jinja", Key("data.chat.template")),
    ("chat_template_kwargs", Key("data.chat.variables")),
    ("field_messages", Key("data.columns.messages")),
    ("conversations", Key("data.columns.messages")),
    ("roles_to_train", Key("data.chat.learn")),
    ("assistant_only_loss", Write("chat = { learn = \"assistant\" } in [data], which is the default")),
    ("mlm", Write("task = \"masked-lm\" in [model]")),
    ("mlm_probability", Key("data.mask.probability")),
    ("whole_word_mask", Key("data.mask.whole_word")),
    ("text_column_name", Key("data.columns.tokens")),
    ("label_column_name", Key("data.columns.tags")),
    ("ner_tags", Key("data.columns.tags")),
    ("mask_history", Write("chat = { learn = \"last\" } in [data]")),
    (
        "train_on_inputs",
        Write("chat = { learn = \"all\" } in [data], or a `text` column in place of prompt and completion"),
    ),
    ("message_field_training", Key("data.chat.weight")),
    ("dataloader_num_workers", Key("data.workers")),
    ("preprocessing_num_workers", Key("data.workers")),
    ("packing", Write("layout = \"packed\" in [data]; \"blocks\" joins texts and cuts them")),
    ("sample_packing", Write("layout = \"packed\" in [data]")),
    ("eval_packing", Always("what is evaluated is never packed: batches have no padding that packing could save")),
    (
        "eval_sample_packing",
        Always("what is evaluated is never packed: batches have no padding that packing could save"),
    ),
    // Roles.
    ("wasm", Key("role.plugin")),
    ("compute_metrics", Key("evaluation.metrics")),
    ("label_smoothing_factor", Write("[loss] with plugin = \"label-smoothing.wasm\"")),
    // What is not there.
    ("load_in_4bit", QUANTIZED),
    ("load_in_8bit", QUANTIZED),
    ("bf16", NotYet("training in bfloat16 is")),
    ("fp16", NotYet("training in float16 is")),
    ("tf32", NotYet("TensorFloat-32 is")),
    ("torch_dtype", NotYet("another precision than float32 is")),
    ("dtype", NotYet("another precision than float32 is")),
    ("activation_checkpointing", Key("training.gradient_checkpointing")),
    ("gradient_checkpointing_kwargs", Write("gradient_checkpointing = true in [training]; each block is recomputed")),
    ("deepspeed", NotYet("training on several devices is")),
    ("fsdp", NotYet("training on several devices is")),
    ("push_to_hub", NotYet("uploading a model is")),
    ("flash_attention", Always("attention never keeps a matrix of all pairs; there is nothing to turn on")),
    ("attn_implementation", Always("attention never keeps a matrix of all pairs; there is nothing to choose")),
    ("remove_unused_columns", Always("columns that no role reads are never loaded")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::sections;

    #[test]
    fn every_foreign_word_leads_to_a_key_that_exists_and_is_none_of_ours() {
        let ours = |path: &str| {
            let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
            sections().iter().any(|s| s.name == section && s.keys.iter().any(|k| k.name == key))
        };
        for (i, (theirs, meaning)) in WORDS.iter().enumerate() {
            if let Key(path) = meaning {
                assert!(ours(path), "{theirs} -> {path}");
            }
            assert!(WORDS[i + 1..].iter().all(|(other, _)| other != theirs), "{theirs} stands twice");
            assert!(sections().iter().all(|s| s.keys.iter().all(|k| k.name != *theirs)), "{theirs} is a key of ours");
        }
    }
}
