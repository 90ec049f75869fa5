//! Our own plugins through the sandbox, in each of the four roles.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{AT, batch, batch_of, logits, plugin, samples, sandbox, setup, tokens};
use insta::assert_snapshot;
use retune_roles::builtin::CrossEntropy;
use retune_roles::{Action, Event, InputSpec, Layer, LayerKind, Loss, Metric, RoleKind, Sample, Trigger, Value};
use retune_sandbox::{Columns, Limits, Setup};
use retune_tensor::{Device, from_int64, normal};
use serde_json::{Value as Json, json};

fn focal(config: Json) -> Box<dyn Loss> {
    let plugin = plugin("focal");
    let config = plugin.resolve_config(&config).unwrap();
    plugin.loss(&Setup::new(config, 7), &Device::flex()).unwrap()
}

/// Loss and its gradient with respect to the logits.
fn loss_and_gradient(loss: &mut dyn Loss) -> (f64, f64, Vec<f32>) {
    let leaf = logits().leaf().unwrap();
    let output = loss.compute(&batch_of(leaf.clone()), &AT).unwrap();
    assert!(!output.denominator.is_tracked());
    let mut gradients = output.numerator.backward().unwrap();
    let gradient = gradients.take(&leaf).unwrap().to_float32().unwrap();
    (output.numerator.item().unwrap(), output.denominator.item().unwrap(), gradient)
}

#[test]
fn a_plugins_loss_is_differentiated_as_a_built_in_one() {
    let (plugged, count, gradient) = loss_and_gradient(&mut *focal(json!({ "gamma": 0.0 })));
    let (built_in, expected_count, expected) = loss_and_gradient(&mut CrossEntropy::for_sequences());
    assert!((plugged - built_in).abs() < 1e-6, "{plugged} {built_in}");
    assert_eq!((count, expected_count), (3.0, 3.0));
    for (found, expected) in gradient.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{gradient:?} {expected:?}");
    }
}

#[test]
fn validation_tensors_give_an_untracked_loss() {
    let output = focal(json!({ "gamma": 2.0 })).compute(&batch(), &AT).unwrap();
    assert!(!output.numerator.is_tracked());
}

/// Over `[16, 128, 32000]` in float32 that is half a GiB of the default's four.
#[test]
fn our_losses_over_a_vocabulary_need_twice_the_size_of_the_logits() {
    let device = Device::flex();
    let logits = normal(&[4, 32, 8_192], 0.0, 1.0, 7, &device).unwrap();
    assert_eq!(logits.byte_len(), 4 << 20);
    let labels = from_int64((0..128).map(|i| if i % 5 == 0 { -100 } else { i }).collect(), &[4, 32], &device).unwrap();
    for (name, mib) in [("focal", 1), ("label-smoothing", 9)] {
        let plugin = plugin(name);
        let setup = Setup { limits: Limits { tensor_mib: mib, ..Limits::default() }, ..setup(&plugin) };
        let batch = batch_of(logits.leaf().unwrap()).with("labels", labels.clone());
        let output = plugin.loss(&setup, &device).unwrap().compute(&batch, &AT).unwrap();
        assert!(output.numerator.backward().is_ok(), "{name}");
    }
}

#[test]
fn tensors_made_at_the_start_last_for_the_whole_run() {
    let mut loss = focal(json!({ "gamma": 1.0, "alpha": [1.0, 2.0, 3.0, 4.0] }));
    let first = loss.compute(&batch(), &AT).unwrap().numerator.item().unwrap();
    for _ in 0..10 {
        assert_eq!(loss.compute(&batch(), &AT).unwrap().numerator.item().unwrap(), first);
    }
}

#[test]
fn an_error_of_the_plugin_is_told_with_the_rows_and_does_not_end_it() {
    let mut loss = focal(json!({ "alpha": [1.0, 2.0] }));
    let rows = batch_of(logits().leaf().unwrap());
    let first = loss.compute(&rows, &AT).unwrap_err();
    assert_snapshot!(common::shown(&first), @r"
    loss focal (target/plugins/focal.wasm) failed in `compute` at step 41, train.csv:1, train.csv:2, train.csv:3: alpha has 2 weights and the model 4 classes
      help: look at the rows or tensors the plugin was given
    ");
    assert_eq!(loss.compute(&rows, &AT).unwrap_err(), first);
}

#[test]
fn in_validation_a_failure_is_where_the_caller_says_it_is() {
    let failure = focal(json!({ "alpha": [1.0, 2.0] })).compute(&batch(), &AT).unwrap_err();
    assert_eq!(failure.details().place, None);
    assert_eq!(
        failure.at("the evaluation of dev.csv:3").details().place.as_deref(),
        Some("the evaluation of dev.csv:3")
    );
}

#[test]
fn a_component_is_what_its_exports_say() {
    let focal = plugin("focal");
    assert_eq!(focal.name(), "focal");
    assert_eq!(focal.roles(), [RoleKind::Loss]);
    assert_eq!(focal.digest().len(), 64);
    assert!(focal.imports().iter().any(|import| import == "retune:plugin/tensor@0.1.0"));
    assert_eq!(
        focal.loss(&setup(&focal), &Device::flex()).unwrap().wants(),
        ["logits", "labels"].map(InputSpec::required)
    );
    assert_eq!(plugin("perplexity").roles(), [RoleKind::Metric]);
    assert_eq!(plugin("layerwise-lr").roles(), [RoleKind::Policy]);
    assert_eq!(plugin("text-clean").roles(), [RoleKind::Preprocessor]);
}

#[test]
fn settings_are_checked_against_the_plugins_own_schema() {
    let plugin = plugin("focal");
    assert_eq!(plugin.resolve_config(&json!(null)).unwrap(), json!({ "gamma": 2.0, "alpha": null }));
    let error = plugin.resolve_config(&json!({ "gama": 1.0 })).unwrap_err();
    assert_snapshot!(format!("{error}; {}", error.help().unwrap()), @"unknown key `gama`; did you mean `gamma`? The keys are `gamma`, `alpha`");
    assert_eq!(error.path, ["gama"]);
    let error = plugin.resolve_config(&json!({ "gamma": -1.0 })).unwrap_err();
    assert_snapshot!(error, @"`gamma` is -1.0; it must be at least 0");
}

#[test]
fn a_metric_in_parts_gives_what_it_gives_in_one() {
    let plugin = plugin("perplexity");
    let make = || plugin.metric(&setup(&plugin), &Device::flex()).unwrap();
    let (mut whole, mut left, mut right) = (make(), make(), make());
    let (a, b) = (tokens(4, 0.0), tokens(3, 1.0));
    whole.update(&a).unwrap();
    whole.update(&b).unwrap();
    left.update(&a).unwrap();
    right.update(&b).unwrap();
    left.merge(&right.snapshot().unwrap()).unwrap();
    let expected = whole.compute().unwrap();
    assert_eq!(expected[0].0, "perplexity");
    assert_eq!(left.compute().unwrap(), expected);

    let mut built_in = retune_roles::builtin::Perplexity::new();
    built_in.update(&a).unwrap();
    built_in.update(&b).unwrap();
    let reference = built_in.compute().unwrap()[0].1;
    assert!((expected[0].1 / reference - 1.0).abs() < 1e-6, "{expected:?} {reference}");

    left.reset().unwrap();
    left.update(&a).unwrap();
    right.reset().unwrap();
    right.update(&a).unwrap();
    assert_eq!(left.compute().unwrap(), right.compute().unwrap());
}

#[test]
fn a_policy_is_told_the_layers_and_decides() {
    let plugin = plugin("layerwise-lr");
    let config = plugin.resolve_config(&json!({ "decay": 0.5 })).unwrap();
    let mut policy = plugin.policy(&Setup::new(config, 7)).unwrap();
    let layer = |name: &str, depth, kind| Layer { name: name.into(), depth, kind, parameters: 10, trainable: true };
    let layers = [
        layer("embeddings", 0, LayerKind::Embedding),
        layer("encoder", 1, LayerKind::Mlp),
        layer("head", 2, LayerKind::Head),
    ];
    policy.attach(&layers).unwrap();
    let event = |trigger| Event { trigger, at: AT, train_loss: Some(1.0), layers: Vec::new() };
    let changes = policy.decide(&event(Trigger::Start)).unwrap();
    let scales: Vec<_> = changes.iter().map(|change| (change.layers.as_str(), change.action)).collect();
    let expected = [("embeddings", 0.25), ("encoder", 0.5), ("head", 1.0)].map(|(name, s)| (name, Action::LrScale(s)));
    assert_eq!(scales, expected);
    assert_eq!(policy.decide(&event(Trigger::Evaluation(vec![("accuracy".into(), 0.5)]))).unwrap(), []);
    assert_eq!(policy.save().unwrap(), None);
    let failure = policy.load(b"state").unwrap_err();
    assert!(failure.to_string().contains("does not export `checkpoint`"), "{failure}");
}

#[test]
fn a_policys_state_travels_from_one_instance_to_the_next() {
    let plugin = plugin("gradual-unfreezing");
    let make = || plugin.policy(&setup(&plugin)).unwrap();
    let depths = ["embeddings", "encoder.0", "encoder.1", "head"];
    let layers: Vec<Layer> = depths
        .iter()
        .zip(0..)
        .map(|(name, depth)| Layer {
            name: (*name).into(),
            depth,
            kind: LayerKind::Other,
            parameters: 10,
            trainable: true,
        })
        .collect();
    let event = |trigger| Event { trigger, at: AT, train_loss: Some(1.0), layers: Vec::new() };

    let mut first = make();
    first.attach(&layers).unwrap();
    first.decide(&event(Trigger::Start)).unwrap();
    first.decide(&event(Trigger::Epoch)).unwrap();
    let state = first.save().unwrap().unwrap();

    let mut second = make();
    second.attach(&layers).unwrap();
    second.load(&state).unwrap();
    assert_eq!(second.save().unwrap().unwrap(), state);
    assert_eq!(second.decide(&event(Trigger::Epoch)).unwrap(), first.decide(&event(Trigger::Epoch)).unwrap());

    let failure = second.load(b"not a state").unwrap_err();
    assert_eq!(failure.details().call, "load");
}

#[test]
fn a_stateful_preprocessor_remembers_from_batch_to_batch() {
    let plugin = plugin("dedup");
    let mut dedup = plugin.preprocessor(&setup(&plugin)).unwrap();
    assert!(dedup.describe().stateful);
    let rows = samples(&["the quick brown fox jumps", "something else entirely"]);
    assert_eq!(dedup.process(&rows).unwrap().rejected, []);
    let again = dedup.process(&rows).unwrap();
    assert_eq!((again.outputs.len(), again.rejected.len()), (0, 2));
}

#[test]
fn a_preprocessor_compares_the_columns_that_the_recipe_names_and_tells_of_labels_that_differ() {
    let plugin = plugin("dedup");
    let columns = Columns { inputs: vec!["premise".into(), "hypothesis".into()], label: Some("label".into()) };
    let config = plugin.resolve_config_for(&json!({ "near": false }), &columns).unwrap();
    assert_eq!(
        (&config["fields"], &config["label"], &config["conflicts"]),
        (&json!(["premise", "hypothesis"]), &json!("label"), &json!("drop"))
    );
    let mut dedup = plugin.preprocessor(&Setup::new(config, 7)).unwrap();
    assert_eq!(dedup.describe().reads, columns.inputs);
    let row = |(at, [premise, hypothesis, label]): (usize, [&str; 3])| Sample {
        key: format!("train.csv:{at}"),
        seed: 0,
        fields: [("id", &*at.to_string()), ("premise", premise), ("hypothesis", hypothesis), ("label", label)]
            .map(|(name, text)| (name.into(), Value::Text(text.into())))
            .into(),
    };
    let rows = [["p", "a", "yes"], ["p", "b", "no"], ["p", "a", "no"], ["p", "A", "yes"], ["p", "c", "maybe"]];
    let rows: Vec<Sample> = rows.into_iter().enumerate().map(row).collect();
    let rejected = dedup.process(&rows).unwrap().rejected;
    let rejected: Vec<_> = rejected.iter().map(|r| (r.source, r.reason.as_str())).collect();
    assert_eq!(rejected, [(2, "label-conflict"), (3, "duplicate")]);
}

#[test]
fn a_preprocessor_gives_the_same_rows_on_every_thread_and_in_every_batch() {
    let plugin = plugin("text-clean");
    let texts = ["  a  <b>bold</b> text ", "", "caf\u{65}\u{301}", "x\u{200b}y", "   "];
    let stage = plugin.stage(setup(&plugin));
    assert_eq!(stage.name, "text-clean");
    let whole = (stage.make)().unwrap().process(&samples(&texts)).unwrap();
    let kept: Vec<&str> = whole.outputs.iter().filter_map(|output| output.fields[0].1.as_text()).collect();
    assert_eq!(kept, ["a bold text", "café", "xy"]);
    assert_eq!(
        whole.rejected.iter().map(|r| (r.source, r.reason.as_str())).collect::<Vec<_>>(),
        [(1, "empty"), (4, "empty")]
    );

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut worker = (stage.make)().unwrap();
                let one_by_one: Vec<Value> = samples(&texts)
                    .iter()
                    .flat_map(|sample| worker.process(std::slice::from_ref(sample)).unwrap().outputs)
                    .map(|output| output.fields[0].1.clone())
                    .collect();
                let expected: Vec<Value> = whole.outputs.iter().map(|o| o.fields[0].1.clone()).collect();
                assert_eq!(one_by_one, expected);
                assert_eq!(worker.finish().unwrap(), []);
            });
        }
    });
}

#[test]
fn a_fingerprint_changes_with_what_could_change_the_rows() {
    let plugin = plugin("text-clean");
    let of = |config: Json, seed| {
        let config = plugin.resolve_config(&config).unwrap();
        plugin.fingerprint(&Setup { limits: Limits::default(), ..Setup::new(config, seed) })
    };
    assert_eq!(of(json!({}), 7), of(json!({ "min_chars": 1 }), 7));
    assert_ne!(of(json!({}), 7), of(json!({ "min_chars": 2 }), 7));
    assert_ne!(of(json!({}), 7), of(json!({}), 8));
    let other = common::plugin("focal");
    assert_ne!(of(json!({}), 7), other.fingerprint(&setup(&other)));
}

#[test]
fn compiled_code_is_kept_and_compiled_again_where_it_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let load = || {
        let plugin =
            retune_sandbox::Sandbox::new(Some(directory.path())).unwrap().load(&common::path("focal")).unwrap();
        let mut loss = plugin.loss(&setup(&plugin), &Device::flex()).unwrap();
        loss.compute(&batch(), &AT).unwrap().numerator.item().unwrap()
    };
    let first = load();
    let compiled = files(directory.path());
    assert!(!compiled.is_empty());
    assert_eq!(load(), first);
    assert_eq!(files(directory.path()), compiled);
    for file in &compiled {
        std::fs::write(file, b"no code").unwrap();
    }
    assert_eq!(load(), first);
}

/// Compiled code below a directory.
fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|extension| extension == "code") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

#[test]
fn a_missing_file_and_a_wrong_one_are_told_apart() {
    let load = |path: &str| {
        let error = sandbox().load(&common::root().join(path)).unwrap_err();
        format!("{error}").replace(&format!("{}/", common::root().display()), "")
    };
    assert_snapshot!(load("plugins/no-such.wasm"), @"the plugin plugins/no-such.wasm cannot be read: No such file or directory (os error 2)");
    assert_snapshot!(load("plugins"), @"the plugin plugins cannot be read: it is a directory");
    assert_snapshot!(load("Cargo.toml"), @"Cargo.toml is not a WebAssembly component: it does not begin as WebAssembly does");
}
