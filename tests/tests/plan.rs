//! What is told of a run before it is begun, and of a model before it is loaded.

#![allow(clippy::unwrap_used, clippy::panic)]

mod tiny;

use std::io::Write as _;

use serde_json::{Value, json};
use tiny::Tiny;

/// Its base is a config alone.
fn tiny() -> Tiny {
    let tiny = Tiny::new();
    tiny.recipe("");
    tiny
}

fn json(tiny: &Tiny, arguments: &[&str]) -> Value {
    let said = tiny.retune(arguments);
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn a_plan_tells_memory_by_part_steps_and_what_would_make_it_fit() {
    let tiny = tiny();
    let said = tiny.retune(&["plan", "recipe.toml", "--memory", "8GiB"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    insta::assert_snapshot!("a_plan_that_fits", said.out);
    let plan = json(&tiny, &["plan", "recipe.toml", "--memory", "8GiB", "--json"]);
    let part = |name: &str| plan["memory"][name].as_u64().unwrap();
    assert_eq!(part("gradients"), 4 * plan["parameters"].as_u64().unwrap());
    assert_eq!(part("moments"), 2 * part("gradients"));
    assert_eq!(plan["lengths"], "rows");

    let at_peak = plan["memory"]["at_peak"].as_object().unwrap().values().map(|part| part.as_u64().unwrap());
    assert_eq!(at_peak.sum::<u64>(), part("peak"));
    assert_eq!((&plan["fits"], &plan["unit"]), (&Value::Bool(true), &"rows".into()));

    assert_eq!((&plan["cut"]["rows"], &plan["cut"]["of"]), (&0.into(), &plan["cut"]["of"]));
    let cut = tiny.retune(&["plan", "recipe.toml", "--memory", "8GiB", "--set", "data.max_length=4"]);
    assert_eq!(cut.code, Some(0), "{}", cut.err);
    let line = cut.out.lines().find(|line| line.starts_with("cut ")).unwrap();
    assert!(line.ends_with(" rows of train are longer than data.max_length = 4, and lose the rest"), "{line}");

    let hopeless = tiny.retune(&["plan", "recipe.toml", "--memory", "1MiB"]);
    assert!(hopeless.out.contains("no key of the recipe makes it fit; take a smaller model"), "{}", hopeless.out);
}

/// A Llama as large as SmolLM2-135M, stored in bfloat16: a header, and as many bytes as it says that nobody wrote.
fn large_base(tiny: &Tiny) {
    tiny.language_model("");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::create_dir_all(tiny.path().join("large")).unwrap();
        std::fs::copy(tiny.path().join("lm").join(file), tiny.path().join("large").join(file)).unwrap();
    }
    let [hidden, inner, keys, vocabulary, blocks] = [576, 1536, 192, 49152, 30];
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary, "hidden_size": hidden,
        "num_hidden_layers": blocks, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": inner,
        "max_position_embeddings": 8192, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 100_000.0, "pad_token_id": 0,
        "bos_token_id": 2, "eos_token_id": 3, "tie_word_embeddings": true, "initializer_range": 0.04
    });
    tiny.write("large/config.json", &config.to_string());
    let mut tensors = vec![("embed_tokens".to_owned(), vec![vocabulary, hidden]), ("norm".to_owned(), vec![hidden])];
    for block in 0..blocks {
        let of_block = [
            ("self_attn.q_proj", vec![hidden, hidden]),
            ("self_attn.k_proj", vec![keys, hidden]),
            ("self_attn.v_proj", vec![keys, hidden]),
            ("self_attn.o_proj", vec![hidden, hidden]),
            ("mlp.gate_proj", vec![inner, hidden]),
            ("mlp.up_proj", vec![inner, hidden]),
            ("mlp.down_proj", vec![hidden, inner]),
            ("input_layernorm", vec![hidden]),
            ("post_attention_layernorm", vec![hidden]),
        ];
        tensors.extend(of_block.map(|(name, shape)| (format!("layers.{block}.{name}"), shape)));
    }
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(
            format!("model.{name}.weight"),
            json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let header = Value::Object(header).to_string();
    let mut file = std::fs::File::create(tiny.path().join("large/model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    let rows =
        (0..60).map(|row| json!({"prompt": "red cat", "completion": "good ".repeat(8 + row)}).to_string() + "\n");
    tiny.write("asked.jsonl", &rows.collect::<String>());
    tiny.write(
        "large.toml",
        "name = \"large\"\ndevice = \"cpu\"\n[model]\nbase = \"large\"\ntask = \"causal-lm\"\n[data]\ntrain = \"asked.jsonl\"\n\
         validation = { split = 0.2 }\ncolumns = { prompt = \"prompt\", completion = \"completion\" }\nmax_length = 64\n\
         [training]\nbatch_size = 16\n[evaluation]\nmetrics = [\"exact-match\"]\n",
    );
}

/// Follows every advice that a plan gives for some share of its memory, and says which keys it named.
fn follow(tiny: &Tiny, percent: u64, more: &[&str]) -> Vec<String> {
    let planned = |memory: u64, more: &[&str]| -> Value {
        let memory = memory.to_string();
        let plain = ["plan", "large.toml", "--json", "--memory", &memory];
        json(tiny, &plain.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let peak = planned(1 << 40, more)["memory"]["peak"].as_u64().unwrap();
    let memory = peak * percent / 100;
    let tight = planned(memory, more);
    assert_eq!(tight["fits"], Value::Bool(false));
    let mut named = Vec::new();
    for advice in tight["advice"].as_array().unwrap() {
        // The keys of each change.
        let keys = |change: &Value| -> Vec<String> {
            change["set"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().replace(' ', "")).collect()
        };
        let changes: Vec<Vec<String>> = advice["changes"].as_array().unwrap().iter().map(keys).collect();
        let with = |changes: &[Vec<String>]| {
            let set = changes.iter().flatten().flat_map(|key| ["--set", key.as_str()]);
            planned(memory, &more.iter().copied().chain(set).collect::<Vec<_>>())
        };
        let followed = with(&changes);
        assert_eq!(followed["fits"], Value::Bool(true), "{percent} %: {advice}");
        let (found, told) = (followed["memory"]["peak"].as_u64().unwrap(), advice["peak"].as_u64().unwrap());
        assert!(found.abs_diff(told) * 100 <= told, "{percent} %: {found} after {advice}");
        for left_out in 0..changes.len() {
            let mut rest = changes.clone();
            let change = rest.remove(left_out);
            assert_eq!(with(&rest)["fits"], Value::Bool(false), "{percent} %: {change:?} is not needed in {advice}");
        }
        named.extend(changes.concat().into_iter().map(|key| key.split('=').next().unwrap().to_owned()));
    }
    named
}

#[test]
fn every_advice_makes_the_run_fit_and_none_is_given_that_does_not_help() {
    let tiny = Tiny::new();
    large_base(&tiny);
    let named = [98, 90, 70, 50, 30].map(|percent| follow(&tiny, percent, &[])).concat();
    let all = ["training.gradient_checkpointing", "adapter.r", "strategy.train_top_layers", "data.max_length"];
    all.iter().for_each(|key| assert!(named.iter().any(|named| named == key), "{key} is not among {named:?}"));

    // What a recipe has is not advised, nor what contradicts it.
    let lora = ["--set", "adapter.r=8", "--set", "training.gradient_checkpointing=true"];
    let named = [95, 80, 60].map(|percent| follow(&tiny, percent, &lora)).concat();
    let others = ["adapter", "train_top_layers", "gradient_checkpointing"];
    assert!(!named.iter().any(|key| others.iter().any(|other| key.contains(other))), "{named:?}");
    // Where gradients are few, the same steps in smaller parts take less.
    let rows = ["--set", "adapter.r=8", "--set", "training.batch_size=32"];
    let named = follow(&tiny, 70, &rows);
    assert!(named.iter().any(|key| key == "training.batch_size"), "{named:?}");
    // One row at a time is as few as there are, and answers take most: fewer of them at a time help, and batches do not.
    let one =
        ["--set", "training.batch_size=1", "--set", "adapter.r=8", "--set", "evaluation.generate.max_new_tokens=2048"];
    let named = follow(&tiny, 60, &one);
    assert!(named.iter().any(|key| key == "evaluation.generate.batch_size"), "{named:?}");
    assert!(!named.iter().any(|key| key == "training.batch_size"), "{named:?}");
}

#[test]
fn packed_sequences_are_counted_as_such() {
    let tiny = Tiny::new();
    large_base(&tiny);
    let packed = ["plan", "large.toml", "--set", "data.layout=packed"];
    let said = tiny.retune(&packed);
    assert!(said.out.contains(" of 16 packed sequences, "), "{}{}", said.out, said.err);
    assert_eq!(json(&tiny, &[&packed[..], &["--json"]].concat())["unit"], "sequences");
    let blocks = tiny.retune(&["plan", "lm.toml"]);
    assert!(blocks.out.contains(" of 8 blocks, "), "{}{}", blocks.out, blocks.err);
    assert!(blocks.err.is_empty(), "{}", blocks.err);
}

#[test]
fn a_plan_without_data_takes_the_longest_rows() {
    let tiny = tiny();
    let plan = json(&tiny, &["plan", "recipe.toml", "--without-data", "--json"]);
    assert_eq!(plan["largest_batch"], 128);
    assert_eq!((&plan["lengths"], &plan["steps"]), (&"max-length".into(), &Value::Null));
    let said = tiny.retune(&["plan", "recipe.toml", "--set", "strategy.train_top_layers=9"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("strategy.train_top_layers"), "{}", said.err);
}

#[test]
fn a_model_is_inspected_by_its_folder() {
    let tiny = tiny();
    let found = json(&tiny, &["model", "inspect", "base", "--json"]);
    assert_eq!((&found["family"], &found["tokenizer"]["kind"]), (&"bert".into(), &"WordPiece".into()));
    let said = tiny.retune(&["model", "inspect", "bsae"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("bsae"), "{}", said.err);
}
