//! Each attack in `plugins/hostile` ends with a message of its own, and harms nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::{AT, Lengths, batch, batch_of, logits, plugin, samples, sandbox, setup, shown};
use insta::assert_snapshot;
use retune_roles::{Batch, Failure, Loss, Preprocessor, Tokenizer, Value};
use retune_sandbox::{Limits, Setup};
use retune_tensor::Device;
use serde_json::json;

fn limited(plugin: &retune_sandbox::Plugin, limits: Limits) -> Setup {
    Setup { limits, ..setup(plugin) }
}

fn loss(name: &str, limits: Limits) -> Box<dyn Loss> {
    let plugin = plugin(&format!("hostile/{name}"));
    plugin.loss(&limited(&plugin, limits), &Device::flex()).unwrap()
}

fn preprocessor(name: &str, limits: Limits) -> Box<dyn Preprocessor> {
    let plugin = plugin(&format!("hostile/{name}"));
    plugin.preprocessor(&limited(&plugin, limits)).unwrap()
}

/// A batch whose logits record a gradient.
fn training() -> Batch {
    batch_of(logits().leaf().unwrap())
}

/// The first failure in training, after making sure that the instance is gone.
fn ended(role: &mut dyn Loss) -> Failure {
    let failure = role.compute(&training(), &AT).unwrap_err();
    let later = role.compute(&training(), &AT).unwrap_err();
    assert!(later.details().reason.starts_with("stopped after an earlier trap"), "{later}");
    failure
}

fn processed(role: &mut dyn Preprocessor, texts: &[&str]) -> Failure {
    role.process(&samples(texts)).unwrap_err()
}

#[test]
fn a_loop_ends_at_its_deadline() {
    let mut loss = loss("loops", Limits { deadline_ms: 1_000, ..Limits::default() });
    assert_snapshot!(shown(&ended(&mut *loss)));
}

#[test]
fn memory_is_bounded() {
    let mut role = preprocessor("eats-memory", Limits { memory_mib: 64, ..Limits::default() });
    assert_snapshot!(shown(&processed(&mut *role, &["a"])));
}

#[test]
fn too_little_memory_to_start_is_told_as_such() {
    let plugin = plugin("hostile/eats-memory");
    let failure = plugin.preprocessor(&limited(&plugin, Limits { memory_mib: 1, ..Limits::default() })).err().unwrap();
    assert_snapshot!(shown(&failure));
}

#[test]
fn a_panic_is_told_with_its_message_and_line() {
    assert_snapshot!(shown(&ended(&mut *loss("traps", Limits::default()))));
}

#[test]
fn a_trap_names_the_row_that_provoked_it() {
    let texts: Vec<String> = (1..=30).map(|n| format!("row {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut role = preprocessor("traps-on-row", Limits::default());
    assert_snapshot!(shown(&processed(&mut *role, &texts)));
}

#[test]
fn a_numerator_that_is_no_sum_is_told_by_its_shape() {
    let mut loss = loss("wrong-shape", Limits::default());
    assert_snapshot!(shown(&loss.compute(&training(), &AT).unwrap_err()));
}

#[test]
fn nan_comes_through_for_the_training_loop_to_stop_at() {
    let output = loss("nan", Limits::default()).compute(&batch(), &AT).unwrap();
    assert!(output.numerator.item().unwrap().is_nan());
}

#[test]
fn the_network_is_refused_before_any_code_runs() {
    let error = sandbox().load(&common::path("hostile/network")).unwrap_err();
    let text = format!("{error}\n  help: {}", error.help().unwrap());
    // The first of several interfaces, in the version of the toolchain's WASI.
    let text = text.replace(&format!("{}/", common::root().display()), "");
    let (before, rest) = text.split_once("wasi:sockets/").unwrap();
    let (_, after) = rest.split_once(": ").unwrap();
    assert_snapshot!(format!("{before}wasi:sockets/[..]: {after}"));
}

#[test]
fn handles_are_bounded() {
    let mut loss = loss("leaks-handles", Limits { handles: 1_000, ..Limits::default() });
    assert_snapshot!(shown(&ended(&mut *loss)));
}

#[test]
fn a_tensor_that_would_not_fit_is_refused_before_memory_is_taken() {
    assert_snapshot!(shown(&ended(&mut *loss("wide-tensor", Limits::default()))));
}

#[test]
fn a_cast_that_would_not_fit_is_refused_before_memory_is_taken() {
    let mut loss = loss("swells", Limits { tensor_mib: 16, ..Limits::default() });
    assert_snapshot!(shown(&ended(&mut *loss)));
}

#[test]
fn copies_are_bounded() {
    let mut role = preprocessor("huge-return", Limits { copy_mib: 8, ..Limits::default() });
    assert_snapshot!(shown(&processed(&mut *role, &["a"])));
}

#[test]
fn a_sleeper_is_woken_at_once() {
    let mut role = preprocessor("sleeps", Limits::default());
    let result = role.process(&samples(&["a", "b"])).unwrap();
    assert_eq!(result.outputs.len(), 2);
}

#[test]
fn recursion_ends_with_the_stack() {
    let mut role = preprocessor("recurses", Limits::default());
    assert_snapshot!(shown(&processed(&mut *role, &["a"])));
}

#[test]
fn a_guest_ends_itself_and_nothing_else() {
    let mut role = preprocessor("exits", Limits::default());
    assert_snapshot!(shown(&processed(&mut *role, &["a", "b", "c"])));
}

fn snooped(tokenizer: Option<Arc<dyn Tokenizer>>) -> String {
    let plugin = plugin("hostile/snoops");
    let mut role = plugin.preprocessor(&Setup { tokenizer, ..setup(&plugin) }).unwrap();
    let result = role.process(&samples(&["a"])).unwrap();
    let Value::Text(found) = &result.outputs[0].fields[0].1 else { panic!("no text") };
    found.clone()
}

#[test]
fn there_is_nothing_to_see_inside() {
    assert_snapshot!(snooped(None), @"0 variables, 0 arguments, root closed, host name unknown, time 1735689600, stdin 0, this run has no tokenizer");
}

#[test]
fn the_runs_tokenizer_is_there_when_the_run_has_one() {
    assert_snapshot!(snooped(Some(Arc::new(Lengths::default()))).split_once("stdin 0, ").unwrap().1, @r#"tokenizer lengths of 30: [[1, 3, 5]], [2] without special ones, back as ["xxxxxxxx"], end None, [UNK] Some(0), chat Err("no chat template")"#);
}

#[test]
fn output_without_end_is_harmless() {
    let mut role = preprocessor("chatters", Limits::default());
    assert_eq!(role.process(&samples(&["a"])).unwrap().outputs.len(), 1);
}

#[test]
fn a_claim_about_a_row_that_is_not_there_is_refused() {
    let mut role = preprocessor("lies", Limits::default());
    assert_snapshot!(shown(&processed(&mut *role, &["a", "b"])));
}

fn kept(late: &str) -> Box<dyn Loss> {
    let plugin = plugin("hostile/kept-handle");
    let config = plugin.resolve_config(&json!({ "late": late })).unwrap();
    plugin.loss(&Setup::new(config, 7), &Device::flex()).unwrap()
}

#[test]
fn a_handle_of_an_earlier_call_may_be_dropped_late() {
    let mut loss = kept("drop");
    let sums: Vec<f64> = (0..5).map(|_| loss.compute(&batch(), &AT).unwrap().numerator.item().unwrap()).collect();
    assert_eq!(sums, vec![sums[0]; 5]);
}

#[test]
fn a_handle_of_an_earlier_call_may_not_be_used() {
    let mut loss = kept("use");
    loss.compute(&batch(), &AT).unwrap();
    assert_snapshot!(shown(&ended(&mut *loss)));
}

#[test]
fn a_handle_of_an_earlier_call_may_not_be_returned() {
    let mut loss = kept("return");
    loss.compute(&batch(), &AT).unwrap();
    assert_snapshot!(shown(&ended(&mut *loss)));
}

#[test]
fn a_wrong_key_is_told_with_the_values_there_are() {
    let plugin = plugin("hostile/kept-handle");
    let told = |config| {
        let error = plugin.resolve_config(&config).unwrap_err();
        format!("{error}; {}", error.help().unwrap_or_default())
    };
    let lines = [json!({ "lat": "drop" }), json!({ "late": "dropp" }), json!({}), json!({ "late": 3 })].map(told);
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_role_that_a_plugin_does_not_play_is_refused() {
    let plugin = plugin("hostile/nan");
    let failure = plugin.policy(&setup(&plugin)).err().unwrap();
    assert_snapshot!(shown(&failure));
}

#[test]
fn a_backward_pass_that_could_not_end_in_time_is_refused_while_it_is_recorded() {
    let plugin = plugin("hostile/gathers");
    let limits = Limits { deadline_ms: 2_000, ..Limits::default() };
    let with = |pieces: u32| {
        let config = json!({ "elements": 4_000_000, "pieces": pieces });
        plugin.loss(&Setup { limits: limits.clone(), ..Setup::new(config, 7) }, &Device::flex()).unwrap()
    };
    let failure = with(100_000).compute(&training(), &AT).unwrap_err();
    let details = failure.details();
    // How many it takes depends on the machine.
    let masked: Vec<&str> =
        details.reason.split(' ').map(|word| if word.parse::<u64>().is_ok() { "N" } else { word }).collect();
    assert_snapshot!(masked.join(" "), @"recorded operations whose backward pass takes N ms or more, where the deadline is N ms; N ms of it in N of `gather`, of a tensor of shape [4000000]");
    assert_snapshot!(details.help.as_deref().unwrap_or_default(), @"each piece that is taken of a tensor costs a gradient as large as that tensor: take what is needed by one operation, or raise `limits.deadline_ms` (now 2000)");
    with(10).compute(&training(), &AT).unwrap().numerator.backward().unwrap();
}
