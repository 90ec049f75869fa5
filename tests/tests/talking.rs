//! A chat model from question to answer: prompts in its template, stop strings and texts as `transformers` has them. The
//! expected values were written by reference/generate_fixtures.py; needs SmolLM2-135M-Instruct, without which it is skipped.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use retune_data::{ChatPrompt, ChatSpec, Tokenization};
use retune_roles::{Message, Task};
use retune_tensor::Device;
use retune_train::generation::{Finish, GenerationSpec, Generator, ReadText, TextStream, generate};
use retune_train::model::{Base, Model};
use serde_json::Value;

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn smollm2_is_asked_stopped_and_understood_as_by_transformers() {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let directory = home.join(".cache/retune/models/SmolLM2-135M-Instruct");
    if !directory.join("model.safetensors").is_file() {
        println!("skipped: there is no {}", directory.display());
        return;
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/generation/smollm2.json");
    let fixture: Value = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
    let tokenizer = Tokenization::open(&directory).unwrap();
    let chat = ChatPrompt::new(&ChatSpec::default(), &tokenizer).unwrap();
    for case in fixture["answers"].as_array().unwrap() {
        let question = Message { role: "user".to_owned(), content: case["question"].as_str().unwrap().to_owned() };
        assert_eq!(chat.ids(&[question], "here").unwrap(), ids(&case["prompt"]), "{}", case["question"]);
        let mut stream = TextStream::new(&tokenizer, true);
        let mut text: String = ids(&case["ids"]).into_iter().map(|id| stream.push(id).unwrap()).collect();
        text.push_str(&stream.end().unwrap());
        assert_eq!(text, case["text"].as_str().unwrap());
    }
    let (model, _) = Model::load(&Base::Directory(directory.clone()), &Task::CausalLm, 0, &Device::flex()).unwrap();
    let (defaults, _) = GenerationSpec::of_model(&directory).unwrap();
    for case in fixture["stops"].as_array().unwrap() {
        let stop = case["stop"].as_str().unwrap();
        let stop_strings = vec![stop.to_owned(), "never said".to_owned()];
        let spec = GenerationSpec { stop_strings, max_new_tokens: 64, ..defaults.clone() };
        let found = generate(&model, &[ids(&case["prompt"])], &spec, Some(&tokenizer), 1).unwrap();
        assert_eq!(found[0].ids, ids(&case["ids"]), "{stop:?}");
        let ended =
            if found[0].ids.last() == Some(&2) { Finish::EndToken } else { Finish::StopString(stop.to_owned()) };
        assert_eq!(found[0].finish, ended);
    }

    // A conversation that is gone on with: what was said is read once, and the answers are those of one that is read anew.
    let spec = GenerationSpec { max_new_tokens: 16, ..defaults };
    let generator = Generator::new(&model, &spec, None).unwrap();
    let (mut read, mut said) = (ReadText::default(), Vec::new());
    for (turn, question) in
        ["Name three colours.", "Which is the first of them?", "And the last?"].into_iter().enumerate()
    {
        said.push(Message { role: "user".to_owned(), content: question.to_owned() });
        let prompt = chat.ids(&said, "here").unwrap();
        let kept = read.shared(&prompt);
        let mut heard = 0;
        let go_on = generator.go_on((turn, &prompt), &mut read, &mut |_| {
            heard += 1;
            ControlFlow::Continue(())
        });
        let (answer, anew) = (go_on.unwrap(), generate(&model, std::slice::from_ref(&prompt), &spec, None, 1).unwrap());
        assert_eq!((&answer, heard), (&anew[0], answer.ids.len()), "{question}");
        // Of a second turn the question is new, the beginning of the answer, and at most its last token.
        assert!(turn == 0 || prompt.len() - kept < 30, "{kept} of {}", prompt.len());
        let mut stream = TextStream::new(&tokenizer, true);
        let mut text: String = answer.ids.iter().map(|id| stream.push(*id).unwrap()).collect();
        text.push_str(&stream.end().unwrap());
        said.push(Message { role: "assistant".to_owned(), content: text.trim_end().to_owned() });
    }
}
