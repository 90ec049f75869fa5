//! Plugins that misbehave end their own run with their own message, and nothing else.
//!
//! A run is killed after some checkpoints; then each hostile plugin takes the
//! place of the loss, policy or metric it was killed with, and the run goes on. Whatever the plugin does,
//! the checkpoint stays whole: at the end the rightful plugin goes on from it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use tiny::{Said, Tiny, plugin};

/// Numbers of steps and rows differ with where the run was killed, and what is left of a call with the machine.
fn stepless(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', ',', '`']) {
        let digits = word.trim_end_matches([' ', ',', ':', '`', ';', '(', ')']);
        let number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
        let key = digits.starts_with("train.csv:");
        match (number && (["step ", "takes ", "ends in "].iter().any(|before| out.ends_with(before))), key) {
            (true, _) => out.push_str(&word.replace(digits, "N")),
            (_, true) => out.push_str(&word.replace(digits, "train.csv:N")),
            _ => out.push_str(word),
        }
    }
    out
}

/// Reads standard error until a line begins with `start`, then kills the run.
fn kill_at(mut child: Child, start: &str) -> bool {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).any(|line| line.starts_with(start));
    child.kill().unwrap();
    child.wait().unwrap();
    seen
}

/// Puts `name` in the place of the loss, the policy or the metric.
fn take_place_of(tiny: &Tiny, role: &str, name: &str) {
    std::fs::copy(plugin(name), tiny.path().join(format!("{role}.wasm"))).unwrap();
}

#[test]
fn a_hostile_role_ends_its_run_and_leaves_the_checkpoint_whole() {
    let tiny = Tiny::new();
    let honest = [("loss", "label-smoothing"), ("policy", "layerwise-lr"), ("metric", "classification-report")];
    honest.iter().for_each(|(role, name)| take_place_of(&tiny, role, name));
    let recipe = Tiny::SOUND.replace("epochs = 6", "epochs = 100000\ncheckpoint = { every_steps = 1 }");
    tiny.write(
        "recipe.toml",
        &format!(
            "{recipe}[loss]\nplugin = \"loss.wasm\"\nlimits = {{ deadline_ms = 3000 }}\n[[strategy.policy]]\n\
             plugin = \"policy.wasm\"\n[evaluation]\nmetrics = [{{ plugin = \"metric.wasm\" }}]\n"
        ),
    );
    let begin = tiny
        .command(&["run", "recipe.toml", "--output", "out"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(kill_at(begin, "evaluate  step 12,"), "the run came as far as its first evaluation");

    for (role, names) in [
        ("loss", &["loops", "traps", "wrong-shape", "nan", "leaks-handles", "wide-tensor", "network"][..]),
        ("loss", &["infinite", "negative-count", "returned-twice", "start-traps", "reports-forged"]),
        ("policy", &["no-such-layer", "empty-pattern", "nan-rate", "endless-list"]),
        ("metric", &["renames-value", "no-value"]),
    ] {
        for name in names {
            take_place_of(&tiny, role, &format!("hostile/{name}"));
            let Said { code, err, .. } = tiny.retune(&["run", "--resume", "out", "-qq"]);
            assert_eq!(code, Some(1), "{name}: {err}");
            insta::assert_snapshot!(format!("hostile_{role}_{name}"), stepless(&err));
        }
        honest.iter().for_each(|(role, name)| take_place_of(&tiny, role, name));
    }

    let go_on = tiny.command(&["run", "--resume", "out"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    assert!(kill_at(go_on, "resume    from the checkpoint of step"), "the checkpoint is whole");
    let log = std::fs::read_to_string(tiny.path().join("out/events.jsonl")).unwrap();
    assert!(!log.contains("is torn"), "no checkpoint was found torn");
}

#[test]
fn a_run_gives_the_same_bytes_beside_a_hostile_one() {
    let tiny = Tiny::new();
    let p = |name: &str| plugin(name).display().to_string();
    let recipe = |name: &str, preprocessor: &str, loss: &str, epochs: &str| {
        let sound = Tiny::SOUND.replace("epochs = 6", epochs);
        let text =
            format!("{sound}[[data.preprocess]]\nplugin = \"{}\"\n[loss]\nplugin = \"{}\"\n", p(preprocessor), p(loss));
        tiny.write(name, &text);
    };
    recipe("honest.toml", "text-clean", "label-smoothing", "epochs = 6");
    recipe("chatters.toml", "hostile/chatters", "hostile/log-floods", "epochs = 100000");
    let honest = |out: &str| {
        let Said { code, err, .. } = tiny.retune(&["run", "honest.toml", "-qq", "--output", out]);
        assert_eq!(code, Some(0), "{err}");
        let read = |file: &str| std::fs::read(tiny.path().join(out).join(file)).unwrap();
        ["model/model.safetensors", "model/config.json", "recipe.toml"].map(read)
    };
    let alone = honest("alone");

    // In the same folder and the same cache, from before the honest run until after it.
    let mut beside = tiny.command(&["run", "chatters.toml", "--output", "hostile"]);
    let mut beside = beside.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(beside.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("evaluate  step 12,")), "the hostile run has begun");
    let reader = std::thread::spawn(move || lines.count());
    let together = honest("together");
    assert!(beside.try_wait().unwrap().is_none(), "the hostile run goes on");
    beside.kill().unwrap();
    beside.wait().unwrap();
    reader.join().unwrap();
    assert!(alone == together);
}

#[test]
fn a_loss_that_fails_is_told_with_the_step_or_the_rows_of_the_evaluation() {
    let tiny = Tiny::new();
    let loss = format!("[loss]\nplugin = \"{}\"\n", plugin("hostile/traps").display());
    // With a validation set the base model is evaluated first.
    tiny.recipe(&loss);
    let evaluated = tiny.retune(&["run", "recipe.toml", "-qq", "--output", "evaluated"]).err;
    tiny.write("recipe.toml", &(Tiny::SOUND.replace("validation = { split = 0.2 }\n", "") + &loss));
    let trained = tiny.retune(&["run", "recipe.toml", "-qq", "--output", "trained"]).err;
    // The places alone: the first steps are the same in every run, so that nothing is masked.
    let places = [evaluated, trained].map(|err| err.lines().next().unwrap_or_default().to_owned());
    insta::assert_snapshot!(places.join("\n"));
}

#[test]
fn a_hostile_preprocessor_ends_the_run_before_training() {
    for (name, limits) in [
        ("eats-memory", "{ memory_mib = 64 }"),
        ("huge-return", "{ copy_mib = 8 }"),
        ("recurses", "{}"),
        ("exits", "{}"),
    ] {
        let tiny = Tiny::new();
        tiny.recipe(&format!(
            "[[data.preprocess]]\nplugin = \"{}\"\nlimits = {limits}\n",
            plugin(&format!("hostile/{name}")).display()
        ));
        let Said { code, err, .. } = tiny.retune(&["run", "recipe.toml", "-qq", "--output", "out"]);
        assert_eq!(code, Some(1), "{name}: {err}");
        assert!(!tiny.path().join("out").exists(), "{name}: nothing was begun");
        insta::assert_snapshot!(format!("hostile_preprocessor_{name}"), stepless(&err));
    }
}
