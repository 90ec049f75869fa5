//! Texts are continued as transformers continues them, whatever shares the batch and whether keys and values are kept.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::ops::ControlFlow;
use std::path::PathBuf;

use retune_train::generation::{Finish, Generation, GenerationSpec, Generator, NewToken, ReadText, generate};
use retune_train::model::Model;
use serde::Deserialize;
use support::texts::{
    count, every, families, fixtures, load, models, prompts, the_slow_way, what_is_stored_changes_no_logit,
};

#[test]
fn with_cache_without_alone_and_batched_every_family_says_the_same() {
    for (name, model) in models() {
        let prompts = prompts(&model);
        let expected = the_slow_way(&model, &prompts);
        for use_cache in [true, false] {
            let spec = GenerationSpec { max_new_tokens: count(&model), use_cache, ..GenerationSpec::default() };
            for batch in [1, 2, 5] {
                let found = generate(&model, &prompts, &spec, None, batch).unwrap();
                let ids: Vec<Vec<u32>> = found.iter().map(|answer| answer.ids.clone()).collect();
                assert_eq!(ids, expected, "{name}, batch {batch}, cache {use_cache}");
                assert!(found.iter().all(|answer| answer.finish == Finish::Length), "{name}");
            }
        }
    }
}

#[test]
fn logits_behind_what_is_stored_are_those_of_the_whole_text_to_1e_5() {
    what_is_stored_changes_no_logit();
}

/// Texts as the turns of a conversation: each begins with what was said, until it begins anew, is written in another way, or
/// says an earlier answer otherwise.
fn turns(said: &[(Vec<u32>, Vec<u32>)], turn: usize, more: &mut dyn FnMut() -> Vec<u32>) -> Vec<u32> {
    let whole = |(prompt, answer): &(Vec<u32>, Vec<u32>)| [&prompt[..], answer].concat();
    match (turn, said.last()) {
        (0 | 3, _) | (_, None) => more(),
        (4, Some(last)) => {
            let mut ids = whole(last);
            ids[1] = (ids[1] + 1) % 7;
            [ids, more()].concat()
        }
        // An answer of which one token was kept, and the same text once more.
        (5, Some(_)) => [&said[0].0[..], &said[0].1[..1], &more()].concat(),
        (6, Some(last)) => last.0.clone(),
        (_, Some(last)) => [whole(last), more()].concat(),
    }
}

/// Greedily and drawn, in every family: windows shorter than the text, and rotary positions that depend on its length.
#[test]
fn a_conversation_that_is_gone_on_with_says_what_one_that_is_read_anew_says() {
    for (name, model) in models() {
        let (vocabulary, longest) = (model.config().shape.vocab_size as u64, model.config().shape.longest_row());
        let size = (longest / 12).clamp(1, 4);
        let mut draw = support::Draw(11);
        let mut more = || (0..size + 1).map(|_| draw.below(vocabulary) as u32).collect::<Vec<u32>>();
        for temperature in [None, Some(1.5)] {
            let spec = |use_cache| GenerationSpec {
                max_new_tokens: size,
                do_sample: temperature.is_some(),
                temperature: temperature.unwrap_or(1.0),
                seed: 7,
                use_cache,
                ..GenerationSpec::default()
            };
            let (kept, anew) = (spec(true), spec(false));
            let (kept, anew) = [&kept, &anew].map(|spec| Generator::new(&model, spec, None).unwrap()).into();
            let mut read = ReadText::default();
            let mut said: Vec<(Vec<u32>, Vec<u32>)> = Vec::new();
            for turn in 0..7 {
                let prompt = turns(&said, turn, &mut more);
                let go_on = |generator: &Generator, read: &mut ReadText| {
                    generator.go_on((turn, &prompt), read, &mut |_| ControlFlow::Continue(())).unwrap()
                };
                let found = go_on(&kept, &mut read);
                assert_eq!(found, go_on(&anew, &mut ReadText::default()), "{name}, {temperature:?}, turn {turn}");
                assert_eq!(read.tokens(), prompt.len() + size - 1, "{name}: all is read but the last token");
                said.push((prompt, found.ids));
            }
            // What is drawn depends on the number of the question, as on the place in a list.
            let prompts: Vec<Vec<u32>> = said.iter().map(|(prompt, _)| prompt.clone()).collect();
            let answers = kept.run(&prompts, 3, &mut |_| ControlFlow::Continue(())).unwrap();
            assert!(answers.iter().zip(&said).all(|(answer, (_, said))| answer.ids == *said), "{name}");
        }
    }
}

#[test]
fn what_was_read_for_an_answer_that_failed_or_was_stopped_is_no_part_of_the_next_one() {
    let model = support::llama();
    let spec = GenerationSpec { max_new_tokens: 6, ..GenerationSpec::default() };
    let generator = Generator::new(&model, &spec, None).unwrap();
    let mut read = ReadText::default();
    let all = &mut |_: &NewToken| ControlFlow::Continue(());
    let expected = generator.go_on((0, &[4, 9, 11, 3]), &mut ReadText::default(), all).unwrap();
    let stopped = generator.go_on((0, &[4, 9, 11, 5]), &mut read, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!((stopped.ids.len(), stopped.finish, read.tokens()), (1, Finish::Stopped, 4));
    assert_eq!(generator.go_on((0, &[4, 9, 11, 3]), &mut read, all).unwrap(), expected);
    let error = generator.go_on((0, &[4, 9, 60]), &mut read, all).unwrap_err();
    assert_eq!(error.to_string(), "prompt 1: there is no token 60: the model's vocabulary has 60 tokens");
    assert_eq!(generator.go_on((0, &[4, 9, 11, 3]), &mut read, all).unwrap(), expected);
}

#[derive(Deserialize)]
struct Case {
    prompt: Vec<u32>,
    ids: Vec<u32>,
    max_new_tokens: usize,
    #[serde(default)]
    min_new_tokens: usize,
    #[serde(default)]
    repetition_penalty: Option<f64>,
}

#[test]
fn every_family_answers_as_transformers_does() {
    let text = std::fs::read(fixtures().join("generation/tiny.json")).unwrap();
    let cases: std::collections::BTreeMap<String, Vec<Case>> = serde_json::from_slice(&text).unwrap();
    let mut names: Vec<&String> = cases.keys().collect();
    names.sort();
    assert_eq!(names, families().iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, directory) in families() {
        let model = load(&directory);
        for case in &cases[&name] {
            let (mut spec, _) = GenerationSpec::of_model(&directory).unwrap();
            // OpenAI's id, of a vocabulary that these small models do not have.
            spec.eos_token_id.retain(|id| (*id as usize) < model.config().shape.vocab_size);
            spec.max_new_tokens = case.max_new_tokens;
            spec.min_new_tokens = case.min_new_tokens;
            spec.repetition_penalty = case.repetition_penalty.unwrap_or(1.0);
            let found = generate(&model, std::slice::from_ref(&case.prompt), &spec, None, 1).unwrap();
            assert_eq!(found[0].ids, case.ids, "{name}, after {:?}", case.prompt);
        }
    }
}

#[test]
fn what_is_drawn_depends_on_seed_and_place_alone() {
    let model = support::llama();
    let prompts = prompts(&model);
    let spec = |seed| GenerationSpec {
        max_new_tokens: 12,
        do_sample: true,
        temperature: 1.5,
        seed,
        ..GenerationSpec::default()
    };
    let of = |seed, batch| generate(&model, &prompts, &spec(seed), None, batch).unwrap();
    let expected = of(1, 1);
    assert!([2, 3, 5].into_iter().all(|batch| of(1, batch) == expected));
    assert_ne!(of(2, 5), expected);
    let twice = generate(&model, &[prompts[0].clone(), prompts[0].clone()], &spec(1), None, 2).unwrap();
    assert_ne!(twice[0], twice[1], "equal prompts at two places get two answers");
}

#[test]
fn tokens_are_told_as_they_come_and_whoever_is_told_may_stop() {
    let model = support::llama();
    let prompts = prompts(&model);
    let spec = GenerationSpec { max_new_tokens: 6, ..GenerationSpec::default() };
    let generator = Generator::new(&model, &spec, None).unwrap();
    let mut told = vec![Vec::new(); prompts.len()];
    let answers = generator.run(&prompts, 2, &mut |token| {
        assert_eq!(token.finish.is_some(), told[token.prompt].len() == 5);
        told[token.prompt].push(token.id);
        ControlFlow::Continue(())
    });
    let expected: Vec<Vec<u32>> = answers.unwrap().into_iter().map(|answer| answer.ids).collect();
    assert_eq!(told, expected);

    let mut heard = 0;
    let answers = generator.run(&prompts, 2, &mut |_| {
        heard += 1;
        if heard == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let answers = answers.unwrap();
    assert_eq!(answers[0], Generation { ids: expected[0][..2].to_vec(), finish: Finish::Stopped });
    assert_eq!(answers[4], Generation { ids: vec![], finish: Finish::Stopped });
}

#[test]
fn a_text_ends_at_an_end_token_and_where_positions_end() {
    let model = support::llama();
    let prompts = prompts(&model);
    let plain = GenerationSpec { max_new_tokens: 12, ..GenerationSpec::default() };
    let free = generate(&model, &prompts, &plain, None, 5).unwrap();
    let eos = free[2].ids[4];
    let first = free[2].ids.iter().position(|id| *id == eos).unwrap();
    let ended = GenerationSpec { eos_token_id: vec![eos], ..plain.clone() };
    let found = generate(&model, &prompts, &ended, None, 5).unwrap();
    assert_eq!(found[2], Generation { ids: free[2].ids[..=first].to_vec(), finish: Finish::EndToken });
    let later = GenerationSpec { min_new_tokens: first + 2, ..ended };
    let found = generate(&model, &prompts, &later, None, 5).unwrap();
    assert!(found.iter().all(|answer| answer.ids.len() >= first + 2 && !answer.ids[..first + 1].contains(&eos)));

    // 24 positions: the last one is read, and what follows it needs none.
    let long: Vec<u32> = (0..20).collect();
    let found = generate(&model, &[long], &plain, None, 1).unwrap();
    assert_eq!((found[0].ids.len(), &found[0].finish), (5, &Finish::Positions));
}

#[test]
fn what_cannot_be_continued_is_refused_with_the_way_out() {
    let model = support::llama();
    let spec = GenerationSpec::default();
    let said = |prompts: &[Vec<u32>]| generate(&model, prompts, &spec, None, 2).unwrap_err();
    let error = said(&[vec![1], vec![]]);
    assert_eq!(error.to_string(), "prompt 2: it has no token");
    assert_eq!(error.help().unwrap(), "begin it with a text, or with the model's start token");
    assert_eq!(said(&[vec![1; 25]]).to_string(), "prompt 1: its 25 tokens are more than the model's 24 positions");
    assert_eq!(said(&[vec![60]]).to_string(), "prompt 1: there is no token 60: the model's vocabulary has 60 tokens");

    let bert = support::bert(0.0);
    let error = generate(&bert, &[vec![1]], &spec, None, 1).unwrap_err();
    assert_eq!(error.to_string(), "a model for sequence-classification does not continue texts");
    assert_eq!(error.help().unwrap(), "use a model trained with task = \"causal-lm\"");

    let mut broken = support::llama();
    let value = broken.parameters().at(0).unwrap().value.mul_scalar(f64::NAN).unwrap();
    broken.parameters_mut().set_value(0, value).unwrap();
    let error = generate(&broken, &[vec![1]], &spec, None, 1).unwrap_err();
    assert_eq!(error.to_string(), "prompt 1: the logits of token 1 are not numbers");
}

#[derive(Deserialize)]
struct Real {
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    prompt: Vec<u32>,
    max_new_tokens: usize,
    ids: Vec<u32>,
}

/// SmolLM2, what its files say of generation, and what transformers answers; without the model, nothing.
fn smollm2() -> Option<(Model, GenerationSpec, Vec<Answer>)> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let directory = home.join(".cache/retune/models/SmolLM2-135M-Instruct");
    if !directory.join("model.safetensors").is_file() {
        println!("skipped: there is no {}", directory.display());
        return None;
    }
    let real: Real =
        serde_json::from_slice(&std::fs::read(fixtures().join("generation/smollm2.json")).unwrap()).unwrap();
    assert_eq!(real.answers.len(), 20);
    let (defaults, told) = GenerationSpec::of_model(&directory).unwrap();
    assert_eq!((&defaults.eos_token_id, told), (&vec![2], vec![]));
    Some((load(&directory), defaults, real.answers))
}

/// As it is kept where nothing learns.
fn narrowed(model: &mut Model) {
    (0..model.parameters().len()).for_each(|index| model.parameters_mut().fix(index));
    model.parameters_mut().narrow_fixed().unwrap();
}

/// All of `answers`, so many at a time.
fn said_as_by_transformers(model: &Model, spec: &GenerationSpec, answers: &[Answer], batch: usize) {
    for count in [32, 64] {
        let cases: Vec<&Answer> = answers.iter().filter(|case| case.max_new_tokens == count).collect();
        let prompts: Vec<Vec<u32>> = cases.iter().map(|case| case.prompt.clone()).collect();
        let spec = GenerationSpec { max_new_tokens: count, ..spec.clone() };
        let found = generate(model, &prompts, &spec, None, batch).unwrap();
        for (found, case) in found.iter().zip(&cases) {
            assert_eq!(found.ids, case.ids, "batch {batch}, cache {}, after {:?}", spec.use_cache, case.prompt);
        }
    }
}

/// With and without cache, alone and batched. Needs the model, without which it is skipped.
#[test]
fn smollm2_answers_20_prompts_as_transformers_does() {
    let Some((mut model, cached, answers)) = smollm2() else { return };
    // What a pass over the whole text finds most probable behind each of its tokens is the next one.
    for case in &answers {
        let text = [&case.prompt[..], &case.ids].concat();
        let all = every(&model, &text[..text.len() - 1]);
        let most = |logits: &[f32]| (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32;
        let found: Vec<u32> = all[case.prompt.len() - 1..].iter().map(|logits| most(logits)).collect();
        assert_eq!(found, case.ids, "after {:?}", case.prompt);
    }
    said_as_by_transformers(&model, &cached, &answers, 1);
    narrowed(&mut model);
    said_as_by_transformers(&model, &cached, &answers, 4);
    // Without a cache each token costs a pass over the text: the shortest alone, unless all are asked for.
    let all = std::env::var_os("ALL_WITHOUT_CACHE").is_some();
    let asked: Vec<Answer> = answers.into_iter().filter(|case| all || case.ids.len() <= 12).collect();
    assert!(asked.len() >= 3);
    let anew = GenerationSpec { use_cache: false, ..cached };
    [1, 3].into_iter().for_each(|batch| said_as_by_transformers(&model, &anew, &asked, batch));
}
