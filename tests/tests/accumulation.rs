//! Splitting a step's rows into micro-batches changes nothing for a sandboxed loss either.
//!
//! The laws, models and rows are those that the training core holds its built-in loss to.

#![allow(clippy::unwrap_used, clippy::panic)]

mod plugged;
#[path = "../../host/train/tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use support::splitting::{same_gradients, same_losses};
use support::{bert, llama, rows, token_rows};

/// Both plugins, with the twist that makes them more than cross-entropy.
fn losses() -> [(&'static str, Value); 2] {
    [("focal", json!({ "gamma": 2.0 })), ("label-smoothing", json!({ "smoothing": 0.1 }))]
}

#[test]
fn a_plugins_gradients_for_a_classifier_do_not_depend_on_the_micro_batch() {
    for (name, config) in losses() {
        same_gradients(&bert(0.2), &mut *plugged::loss(name, &config), &rows(8, 1));
    }
}

#[test]
fn a_plugins_gradients_for_a_language_model_do_not_depend_on_the_micro_batch() {
    for (name, config) in losses() {
        same_gradients(&llama(), &mut *plugged::loss(name, &config), &token_rows(8, 2));
    }
}

#[test]
fn fifty_steps_of_a_classifier_on_a_plugins_loss_do_not_depend_on_the_micro_batch() {
    for (name, config) in losses() {
        same_losses(|| (bert(0.1), plugged::loss(name, &config)), &rows(35, 5), true);
    }
}

#[test]
fn fifty_steps_of_a_language_model_on_a_plugins_loss_do_not_depend_on_the_micro_batch() {
    for (name, config) in losses() {
        same_losses(|| (llama(), plugged::loss(name, &config)), &token_rows(35, 5), false);
    }
}
