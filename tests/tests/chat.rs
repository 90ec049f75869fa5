//! Conversations end to end: learnt with sandboxed losses and policies, answered, and the answers measured by plugins.
#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use tiny::{Draw, Tiny, plugin};

/// What is asked about, by what is to be answered.
const KINDS: [(&str, [&str; 3]); 3] =
    [("animal", ["cat", "dog", "bird"]), ("colour", ["red", "green", "blue"]), ("sky", ["sun", "moon", "star"])];

const TEMPLATE: &str = "{% for m in messages %}<s>{{ m['role'] }} {{ m['content'] }}</s>{% endfor %}\
    {% if add_generation_prompt %}<s>assistant {% endif %}";

/// Adds a tiny Llama that nobody has trained, with a chat template, and conversations: a word, and of what kind it is.
fn chats() -> Tiny {
    let tiny = Tiny::new();
    let words = KINDS.iter().flat_map(|(kind, words)| std::iter::once(*kind).chain(*words));
    let vocabulary: Vec<&str> =
        ["[PAD]", "[UNK]", "<s>", "</s>", "user", "assistant", "what", "is"].into_iter().chain(words).collect();
    let special = |id: usize, text: &str| json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let ids: serde_json::Map<String, Value> =
        vocabulary.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null, "model": {"type": "WordLevel", "vocab": ids, "unk_token": "[UNK]"},
        "added_tokens": vocabulary[..4].iter().enumerate().map(|(id, text)| special(id, text)).collect::<Vec<_>>()
    });
    tiny.write("chat/tokenizer.json", &tokenizer.to_string());
    let tokens = json!({"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE});
    tiny.write("chat/tokenizer_config.json", &tokens.to_string());
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary.len(), "hidden_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32,
        "max_position_embeddings": 64, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "pad_token_id": 0,
        "bos_token_id": 2, "eos_token_id": 3, "tie_word_embeddings": false, "initializer_range": 0.1
    });
    tiny.write("chat/config.json", &config.to_string());
    let mut draw = Draw(5);
    let mut row = || {
        let mut turn = || {
            let (kind, words) = KINDS[draw.below(3)];
            let asked = format!("what is {}", words[draw.below(3)]);
            vec![json!({"role": "user", "content": asked}), json!({"role": "assistant", "content": kind})]
        };
        let mut messages = turn();
        messages.extend(turn());
        json!({"messages": messages}).to_string()
    };
    tiny.write("chat/train.jsonl", &(0..160).map(|_| row() + "\n").collect::<String>());
    tiny.write("chat/dev.jsonl", &(0..40).map(|_| row() + "\n").collect::<String>());
    tiny
}

/// The recipe of a run on them that starts from `model`, with further lines.
fn recipe(tiny: &Tiny, name: &str, model: &str, more: &str) {
    let text = format!(
        "name = \"{name}\"\nseed = 3\ndevice = \"cpu\"\n{model}[data]\ntrain = \"chat/train.jsonl\"\nvalidation = \"chat/dev.jsonl\"\n\
         columns = {{ messages = \"messages\" }}\nmax_length = 32\n{more}"
    );
    tiny.write(&format!("{name}.toml"), &text);
}

const UNTRAINED: &str = "[model]\nconfig = \"chat/config.json\"\ntokenizer = \"chat\"\ntask = \"causal-lm\"\n";

/// A loss, a policy and two metrics of texts from plugins, beside built-in ones.
fn roles(loss: &str) -> String {
    let p = |name: &str| plugin(name).display().to_string();
    format!(
        "[loss]\nplugin = \"{}\"\n[[strategy.policy]]\nplugin = \"{}\"\nconfig = {{ every_steps = 4 }}\n[evaluation]\nevery = {{ steps = 20 }}\n\
         metrics = [\"perplexity\", \"exact-match\", {{ plugin = \"{}\" }}, {{ plugin = \"{}\" }}]\n\
         generate = {{ max_new_tokens = 4, rows = 25, batch_size = 4 }}\nbest = {{ metric = \"chrf\" }}\n",
        p(loss),
        p("gradual-unfreezing"),
        p("chrf"),
        p("answer-length")
    )
}

const TRAINING: &str =
    "[training]\nepochs = 5\nbatch_size = 8\noptimizer = { learning_rate = 2e-2 }\ncheckpoint = { every_steps = 10 }\n";

fn events(tiny: &Tiny, run: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(tiny.path().join(run).join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_model_answers_is_measured_by_plugins_before_during_and_after_training() {
    let tiny = chats();
    recipe(&tiny, "chat", UNTRAINED, &format!("{TRAINING}{}", roles("focal")));
    let said = tiny.retune(&["run", "chat.toml", "--json", "--output", "out"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    let value =
        |when: &str, name: &str| summary[when]["values"][name].as_f64().unwrap_or_else(|| panic!("{name}: {summary}"));
    assert!(value("after", "exact_match") > value("before", "exact_match") + 0.3, "{summary}");
    assert!(value("after", "chrf") > value("before", "chrf") + 20.0, "{summary}");
    assert_eq!(value("after", "empty_answers"), 0.0);
    assert_eq!(value("after", "learnt_tokens"), 4.0, "two turns of a word and an end token, of all rows: {summary}");
    assert_eq!(summary["after"]["rows"], 40, "25 of them are answered");

    let events = events(&tiny, "out");
    let answers: Vec<&Value> = events.iter().filter(|event| event["event"] == "answers").collect();
    assert_eq!(answers.iter().map(|event| event["step"].as_u64().unwrap()).collect::<Vec<_>>(), [20, 40, 60, 80, 100]);
    for event in &answers {
        let keys =
            |event: &Value| event["answers"].as_array().unwrap().iter().map(|a| a["key"].clone()).collect::<Vec<_>>();
        assert_eq!((keys(event).len(), keys(event)), (8, keys(answers[0])), "the same rows are asked each time");
    }
    let answer = &events.iter().rfind(|event| event["event"] == "measured").unwrap()["answers"][0];
    let prompt = answer["prompt"].as_str().unwrap();
    assert!(prompt.starts_with("<s> user what is") && prompt.ends_with("</s> <s> assistant"), "{prompt}");
    let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    assert!(kinds.contains(&answer["reference"].as_str().unwrap()), "the end token is no part of it: {answer}");
    assert!(events.iter().any(|event| event["event"] == "policy_change" && event["action"] == "unfreeze"));
    let report = std::fs::read_to_string(tiny.path().join("out/report.html")).unwrap();
    assert!(report.contains("<h2>Answers</h2>") && report.contains("<th>before training</th><th>after training</th>"));

    // The same answers from the result, by the verb that measures it.
    let again = tiny.retune(&["evaluate", "out", "--json"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    let again: Value = serde_json::from_str(&again.out).unwrap();
    for name in ["exact_match", "chrf", "answer_words", "length_ratio"] {
        assert_eq!(again["values"][name], summary["after"]["values"][name], "{name}");
    }
}

#[test]
fn a_killed_run_that_answers_goes_on_and_ends_with_the_same_bytes() {
    let tiny = chats();
    recipe(&tiny, "chat", UNTRAINED, &format!("{TRAINING}{}", roles("label-smoothing")));
    assert_eq!(tiny.retune(&["run", "chat.toml", "-q", "--output", "whole"]).code, Some(0));
    let mut command = tiny.command(&["run", "chat.toml", "--output", "killed"]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).any(|line| line.starts_with("evaluate  step 40"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen, "the run came as far as step 40");
    let on = tiny.retune(&["run", "chat.toml", "-q", "--resume", "--output", "killed"]);
    assert_eq!(on.code, Some(0), "{}", on.err);
    let bytes = |run: &str| std::fs::read(tiny.path().join(run).join("model/model.safetensors")).unwrap();
    assert!(bytes("whole") == bytes("killed"), "the models differ");
    let last =
        |run: &str| events(&tiny, run).into_iter().rfind(|e| e["event"] == "answers").unwrap()["answers"].clone();
    assert_eq!(last("whole"), last("killed"));
}

#[test]
fn metrics_of_texts_are_refused_where_nothing_is_written_or_asked() {
    let tiny = chats();
    let chrf = plugin("chrf").display().to_string();
    tiny.language_model("");
    let mut told = Vec::new();
    let mut refused = |file: &str| {
        let said = tiny.retune(&["run", file, "--output", "out"]);
        assert!(said.code != Some(0) && !tiny.path().join("out").exists(), "{file}: {}", said.err);
        told.push(said.err);
    };
    tiny.recipe(&format!("[evaluation]\nmetrics = [{{ plugin = \"{chrf}\" }}]\n"));
    refused("recipe.toml");
    tiny.recipe("[evaluation]\nmetrics = [\"rouge\"]\n");
    refused("recipe.toml");
    recipe(&tiny, "chat", UNTRAINED, "[evaluation]\nmetrics = [\"perplexity\"]\ngenerate = { rows = 5 }\n");
    refused("chat.toml");
    tiny.language_model(&format!("[evaluation]\nmetrics = [\"bleu\", {{ plugin = \"{chrf}\" }}]\n"));
    refused("lm.toml");
    recipe(&tiny, "chat", UNTRAINED, "chat = { learn = \"all\" }\n[evaluation]\nmetrics = [\"exact-match\"]\n");
    refused("chat.toml");
    insta::assert_snapshot!("metrics_of_texts_that_are_refused", told.join("\n"));
}
