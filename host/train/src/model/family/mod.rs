//! The families of models: one file each, one row each in a table.
//!
//! A file says which `model_type` it answers to, how its parameters are called and how `config.json` is read into
//! a [`Shape`](super::shape::Shape). A family that needs a part which does not exist yet adds it to the shape and to the
//! network, and every other family keeps its numbers. [`decoder`] is what the descendants of Llama share.

mod bert;
mod decoder;
mod distilbert;
#[allow(clippy::module_inception, reason = "what a family is, beside the families")]
mod family;
mod gemma2;
mod gemma3;
mod gpt2;
mod llama;
mod mistral;
mod modernbert;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod roberta;
mod smollm3;

pub use family::{DefaultValue, Family, Initial};

/// The families that retune knows.
pub static FAMILIES: &[&Family] = &[
    &bert::BERT,
    &distilbert::DISTILBERT,
    &gemma2::GEMMA2,
    &gemma3::GEMMA3,
    &gpt2::GPT2,
    &llama::LLAMA,
    &mistral::MISTRAL,
    &modernbert::MODERNBERT,
    &olmo2::OLMO2,
    &phi3::PHI3,
    &qwen2::QWEN2,
    &qwen3::QWEN3,
    &roberta::ROBERTA,
    &roberta::XLM_ROBERTA,
    &smollm3::SMOLLM3,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use retune_roles::TaskKind;

    use super::*;
    use crate::model::pattern::Patterns;

    #[test]
    fn patterns_may_leave_out_the_prefix_of_every_family() {
        let pattern = Patterns::new(&["block.0".to_owned()]).unwrap();
        for family in FAMILIES {
            let name = format!("{}block.0.weight", family.prefix);
            assert_eq!(pattern.select([name.as_str()]).unwrap(), [0], "{}", family.model_type);
        }
    }

    #[test]
    fn classes_and_tasks_name_each_other() {
        for family in FAMILIES {
            for task in TaskKind::ALL {
                // Three tasks have one class in transformers; `problem_type` tells them apart.
                let named = match task {
                    TaskKind::MultiLabelClassification | TaskKind::Regression => TaskKind::SequenceClassification,
                    task => task,
                };
                assert_eq!(family.task_of(&family.class_for(task)), Some(named), "{}", family.model_type);
            }
        }
    }
}
