//! Texts are continued on other devices as on the CPU: the same tests while the CPU computes as they do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use retune_tensor::device::Portable;
use retune_train::generation::{GenerationSpec, generate};
use support::texts::{count, models, prompts, the_slow_way, what_is_stored_changes_no_logit};

#[test]
fn other_devices_say_the_same() {
    let _portable = Portable::new();
    for (name, model) in models() {
        let prompts = prompts(&model);
        let spec = GenerationSpec { max_new_tokens: count(&model), ..GenerationSpec::default() };
        let found = generate(&model, &prompts, &spec, None, 3).unwrap();
        let ids: Vec<Vec<u32>> = found.into_iter().map(|answer| answer.ids).collect();
        assert_eq!(ids, the_slow_way(&model, &prompts), "{name}");
    }
}

#[test]
fn logits_behind_what_is_stored_are_those_of_the_whole_text_to_1e_5() {
    let _portable = Portable::new();
    what_is_stored_changes_no_logit();
}
