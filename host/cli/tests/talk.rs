//! `retune generate` and `retune chat` as a user calls them, with a small random model that has a chat template.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use serde_json::{Value, json};
use support::{Said, fixtures, folder, retune};
use tempfile::TempDir;

/// The objects that `--json` prints.
fn objects(folder: &TempDir, arguments: &[&str], input: &str) -> Vec<Value> {
    let said = retune(folder, &[&["generate", "--json", "--max-new-tokens", "12"], arguments].concat(), input);
    assert_eq!(said.code, 0, "{}", said.err);
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn field(all: &[Value], name: &str) -> Vec<Value> {
    all.iter().map(|object| object[name].clone()).collect()
}

#[test]
fn prompts_are_answered_alike_from_flags_lines_and_rows_whatever_the_batch() {
    let folder = folder();
    let flags = objects(&folder, &["tuned", "-p", "Hello there", "-p", "What is up?", "-p", "a"], "");
    assert_eq!(field(&flags, "prompt"), ["Hello there", "What is up?", "a"]);
    assert!(flags.iter().all(|answer| answer["tokens"] == 12 && answer["finish"] == "max-new-tokens"), "{flags:?}");
    assert!(flags.iter().all(|answer| answer["ids"].as_array().unwrap().len() == 12));
    let lines = objects(&folder, &["tuned", "--batch-size", "1"], "Hello there\n\nWhat is up?\na\n");
    assert_eq!(lines, flags);
    let chats = [
        json!({"messages": [{"role": "user", "content": "Hello there"}]}),
        json!({"messages": [{"role": "user", "content": "What is up?"}, {"role": "assistant", "content": "Much"}]}),
        json!({"conversations": [{"from": "human", "value": "a"}]}),
    ];
    let text: String = chats.iter().map(|chat| format!("{chat}\n")).collect();
    std::fs::write(folder.path().join("chats.jsonl"), &text).unwrap();
    let rows = objects(&folder, &["tuned", "--file", "chats.jsonl", "--batch-size", "2"], "");
    assert_eq!(field(&rows, "ids"), field(&flags, "ids"));
    std::fs::write(folder.path().join("prompts.csv"), "prompt,n\nHello there,1\nWhat is up?,2\n").unwrap();
    let rows = objects(&folder, &["tuned", "--file", "prompts.csv", "--no-cache"], "");
    assert_eq!(field(&rows, "ids"), field(&flags[..2], "ids"));
    // Standard input is a file of any format.
    let rows = objects(&folder, &["tuned", "--file", "-", "--format", "jsonl"], &text);
    assert_eq!(field(&rows, "ids"), field(&flags, "ids"));
    let passages = objects(&folder, &["tuned", "--file", "-", "--format", "text"], "Hello there\n\n\nWhat is up?\n");
    assert_eq!(passages, flags[..2]);
}

#[test]
fn the_template_is_left_out_when_asked_and_where_there_is_none() {
    let folder = folder();
    let [chat, raw, told] = [&[][..], &["--raw"], &["--system", "Be brief."]]
        .map(|more| objects(&folder, &[&["tuned", "-p", "Hello"], more].concat(), "").remove(0));
    let tokens = |answer: &Value| answer["prompt_tokens"].as_u64().unwrap();
    // The template says something to the model itself where nobody else does.
    assert!(tokens(&raw) < tokens(&chat) && tokens(&raw) < tokens(&told) && told["ids"] != chat["ids"]);
    let said = retune(&folder, &["generate", "plain", "-p", "Hello", "--max-new-tokens", "3"], "");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("this model has no chat template: prompts are continued as they stand"), "{}", said.err);
    assert!(
        said.err.contains("3 tokens in") && said.err.contains("1 of 1 answer ended at --max-new-tokens 3"),
        "{}",
        said.err
    );
}

#[test]
fn draws_depend_on_the_seed_and_an_answer_ends_at_a_stop_string() {
    let folder = folder();
    let of = |more: &[&str]| objects(&folder, &[&["tuned", "-p", "Hello"], more].concat(), "").remove(0);
    let plain = of(&[]);
    let drawn = of(&["--temperature", "5", "--top-k", "0"]);
    assert_ne!(drawn["ids"], plain["ids"]);
    assert_eq!(of(&["--temperature", "5", "--top-k", "0", "--seed", "42"]), drawn);
    assert_ne!(of(&["--temperature", "5", "--top-k", "0", "--seed", "7"])["ids"], drawn["ids"]);
    assert_eq!(of(&["--sample", "--top-k", "1"])["ids"], plain["ids"]);
    let text = plain["text"].as_str().unwrap();
    let stop: String = text.chars().skip(text.chars().count() / 2).take(1).collect();
    let stopped = of(&["--stop", &stop]);
    assert_eq!(stopped["finish"], "stop-string");
    let stopped = stopped["text"].as_str().unwrap();
    assert!(
        text.starts_with(stopped) && stopped.contains(&stop) && stopped.len() < text.len(),
        "{stopped:?} of {text:?}"
    );
}

/// The answers of a conversation, and standard error.
fn talk(folder: &TempDir, arguments: &[&str], lines: &str) -> (Vec<String>, String) {
    let said = retune(folder, &[&["chat", "--max-new-tokens", "6"], arguments].concat(), lines);
    assert_eq!(said.code, 0, "{}", said.err);
    let mark = |line: &&str| ["model: ", "base: ", "tuned: "].iter().any(|name| line.starts_with(name));
    (said.out.split('\n').filter(mark).map(str::to_owned).collect(), said.err)
}

#[test]
fn a_conversation_has_a_memory_that_can_be_reset() {
    let folder = folder();
    let (answers, err) =
        talk(&folder, &["tuned"], "Hi\nHi\n/reset\nHi\n/system Be brief.\nHi\n/system\nHi\n\n//reset\n/quit\nHi\n");
    assert_eq!(answers.len(), 6, "{answers:?} {err}");
    assert_ne!(answers[0], answers[1], "the second question has the first before it");
    assert_eq!(answers[0], answers[2]);
    assert_ne!(answers[0], answers[3]);
    assert_eq!(answers[0], answers[4]);
    let (told, _) = talk(&folder, &["tuned", "--system", "Be brief."], "Hi\n");
    assert_eq!(told[0], answers[3]);
    let (_, err) = talk(&folder, &["tuned"], "/rest\n/help\nHi\n");
    assert!(err.contains("there is no command `/rest`") && err.contains("did you mean `/reset`?"), "{err}");
}

/// A template that says of the last message alone that it is the last one, as those do that leave thoughts out of earlier turns.
const REWRITES: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}{% if loop.last %} (now)\
                        {% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

#[test]
fn a_conversation_whose_beginning_is_kept_goes_on_as_one_that_is_read_anew() {
    let folder = folder();
    std::fs::write(folder.path().join("base/chat_template.jinja"), REWRITES).unwrap();
    let lines = "Hello there\nWhat is up?\nWhat is up?\n/reset\nWhat is up?\n/system Be brief.\nHello there\nWell\n/system\nHello there\n\
                 one two three four five six seven eight nine ten\none two three four five six\nHello\n";
    for model in ["tuned", "base"] {
        for sampling in [&["--greedy"][..], &["--temperature", "2", "--seed", "5"]] {
            let [kept, anew] =
                [&[][..], &["--no-cache"]].map(|more| talk(&folder, &[&[model], sampling, more].concat(), lines));
            assert_eq!(kept.0.len(), 10);
            assert_eq!(kept, anew, "{model}, {sampling:?}");
        }
    }
    // The same question is answered otherwise when it is asked once more, and alike by whoever asks all of it again.
    let sampled = ["tuned", "--temperature", "5", "--top-k", "0"];
    let (answers, _) = talk(&folder, &sampled, "Hello\n/reset\nHello\n");
    assert_ne!(answers[0], answers[1]);
    assert_eq!(talk(&folder, &sampled, "Hello\n/reset\nHello\n").0, answers);
}

#[test]
fn a_conversation_that_is_too_long_forgets_its_oldest_messages() {
    let folder = folder();
    let line = "one two three four five six seven eight nine ten\n";
    let (answers, err) = talk(&folder, &["tuned"], &line.repeat(8));
    assert_eq!(answers.len(), 8);
    assert!(err.contains("messages are forgotten: conversation and answer exceed the model's 160 positions"), "{err}");
    let said = retune(&folder, &["chat", "tuned"], &format!("{}\n", "word and ".repeat(200)));
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no room for an answer") && said.err.contains("say it in fewer words"), "{}", said.err);
}

#[test]
fn a_tuned_model_and_its_base_answer_one_after_the_other() {
    let folder = folder();
    let [base, tuned] = ["base", "tuned"].map(|name| talk(&folder, &[name], "Hi\nWell\n").0);
    let (both, _) = talk(&folder, &["tuned", "--compare", "--base", "base"], "Hi\nWell\n");
    let text = |line: &String| line.split_once(": ").unwrap().1.to_owned();
    assert_eq!(both.iter().map(text).collect::<Vec<_>>(), [&base[0], &tuned[0], &base[1], &tuned[1]].map(text));
    assert!(both[0].starts_with("base: ") && both[1].starts_with("tuned: "));

    // A run says itself what it started from.
    let run = folder.path().join("runs/chat-1");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::rename(folder.path().join("tuned"), run.join("model")).unwrap();
    std::fs::write(run.join("manifest.json"), "{}").unwrap();
    let recipe = "[model]\nbase = \"../../base\"\ntask = \"causal-lm\"\n[data]\ntrain = \"chats.jsonl\"\ncolumns = { messages = \"messages\" }\n";
    std::fs::write(run.join("recipe.toml"), recipe).unwrap();
    assert_eq!(talk(&folder, &["runs/chat-1", "--compare"], "Hi\nWell\n").0, both);
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_way_out() {
    let folder = folder();
    std::fs::write(folder.path().join("rows.csv"), "question,n\nHi,1\n").unwrap();
    std::fs::write(folder.path().join("latin.txt"), b"Gr\xfc\xdfe\n").unwrap();
    std::fs::write(folder.path().join("chats.jsonl"), "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n")
        .unwrap();
    std::fs::create_dir_all(folder.path().join("runs/begun-1")).unwrap();
    for file in ["recipe.toml", "manifest.json"] {
        let text = "[model]\nbase = \"../../base\"\ntask = \"causal-lm\"\n[data]\ntrain = \"chats.jsonl\"\n";
        std::fs::write(folder.path().join("runs/begun-1").join(file), text).unwrap();
    }
    let bert = fixtures().join("bert-tiny");
    let long = "word and ".repeat(200);
    let mut said = String::new();
    for arguments in [
        &["generate", "runs/nowhere", "-p", "Hi"][..],
        &["generate", "runs/begun-1", "-p", "Hi"],
        &["generate", "rows.csv", "-p", "Hi"],
        &["generate", "BERT", "-p", "Hi"],
        &["generate", "tuned"],
        &["generate", "tuned", "--file", "nowhere.jsonl"],
        &["generate", "tuned", "--file", "rows.csv"],
        &["generate", "tuned", "--file", "chats.jsonl", "--raw"],
        &["generate", "plain", "-p", "Hi", "--system", "Be brief."],
        &["generate", "plain", "--file", "chats.jsonl"],
        &["generate", "tuned", "-p", "LONG"],
        &["generate", "tuned", "-p", "Hi", "--top-p", "1.5"],
        &["generate", "tuned", "-p", "Hi", "--top-p", "0"],
        &["generate", "tuned", "-p", "Hi", "--min-p", "-0.1"],
        &["generate", "tuned", "-p", "Hi", "--repetition-penalty", "0"],
        &["generate", "tuned", "-p", "Hi", "--temperature", "0"],
        &["generate", "tuned", "-p", "Hi", "--temperature", "nan"],
        &["generate", "tuned", "--file", "latin.txt"],
        &["generate", "tuned", "-p", "Hi", "--stop", ""],
        &["generate", "tuned", "-p", "Hi", "--max-new-tokens", "0"],
        &["chat", "plain"],
        &["chat", "BERT"],
        &["chat", "tuned", "--compare"],
        &["chat", "tuned", "--json"],
    ] {
        let bert = bert.display().to_string();
        let given = |argument: &&str| match *argument {
            "BERT" => bert.clone(),
            "LONG" => long.clone(),
            other => other.to_owned(),
        };
        let given: Vec<String> = arguments.iter().map(given).collect();
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let Said { code, out, err } = retune(&folder, &given, "");
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: {err}");
        said.push_str(&format!("$ retune {}\n{}\n", arguments.join(" "), err.replace(&bert, "BERT")));
    }
    let here = folder.path().canonicalize().unwrap();
    let said =
        said.replace(&here.display().to_string(), "<here>").replace(&folder.path().display().to_string(), "<here>");
    insta::assert_snapshot!(said);
}
