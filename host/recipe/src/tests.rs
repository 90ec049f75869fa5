//! Every way a recipe can be wrong, as the user sees it.

use std::path::Path;
use std::sync::Arc;

use super::{Recipe, resolved};
use crate::diagnostic::{Result, Text};

pub(crate) const SOUND: &str = r#"
[model]
base = "base"
task = "sequence-classification"

[data]
train = "train.csv"
"#;

pub(crate) fn read(text: &str) -> Result<Recipe> {
    Recipe::parse(Text { name: "recipe.toml".into(), text: Arc::from(text) }, Path::new("/here"), "recipe")
}

fn diagnostic(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("this recipe was accepted:\n{text}"),
        Err(diagnostic) => diagnostic.render(false, None),
    }
}

/// Each row: what is wrong, and the lines added to a sound recipe.
const WRONG: &[(&str, &str)] = &[
    ("unknown_section", "[trainning]\nepochs = 3"),
    ("unknown_key_in_training", "[training]\nepoch = 3"),
    ("a_key_of_another_section", "[evaluation]\nepochs = 3"),
    ("another_systems_name", "[training]\nlr = 2e-4"),
    ("unknown_key_in_an_inline_table", "[training]\noptimizer = { learnin_rate = 1e-3 }"),
    ("a_string_for_a_number", "[training]\nepochs = \"three\""),
    ("a_fraction_for_a_whole_number", "[training]\nbatch_size = 1.5"),
    ("zero_epochs", "[training]\nepochs = 0"),
    ("a_negative_batch_size", "[training]\nbatch_size = -4"),
    ("a_learning_rate_of_zero", "[training]\noptimizer = { learning_rate = 0.0 }"),
    ("a_number_too_large", "[training]\nepochs = 99999999999"),
    ("an_unknown_optimizer", "[training]\noptimizer = { name = \"adam\" }"),
    ("two_kinds_of_warm_up", "[training]\nlr_scheduler = { warmup_steps = 5, warmup_ratio = 0.1 }"),
    ("an_unknown_schedule", "[training]\nlr_scheduler = { name = \"cosin\" }"),
    ("a_table_for_a_flag", "[training]\ndropout = { rate = 0.1 }"),
    ("evaluation_without_a_validation_set", "[evaluation]\nbest = { metric = \"accuracy\" }"),
    ("every_of_the_wrong_kind", "[evaluation]\nevery = 100"),
    ("early_stopping_without_patience", "[evaluation]\nearly_stopping = { min_delta = 0.1 }"),
    ("a_metric_that_is_a_number", "[evaluation]\nmetrics = [3]"),
    ("freezing_with_full", "[strategy]\nmethod = \"full\"\nfreeze = [\"embeddings.**\"]"),
    ("partial_of_nothing", "[strategy]\nmethod = \"partial\""),
    ("a_method_of_later", "[strategy]\nmethod = \"lora\""),
    ("an_adapter_of_rank_zero", "[adapter]\nr = 0"),
    ("an_adapter_that_drops_all", "[adapter]\nlora_dropout = 1.0"),
    ("an_adapter_in_words_of_peft", "[adapter]\nlora_r = 8\nuse_dora = true\nlora_target = [\"q_proj\"]"),
    ("an_adapter_of_another_start", "[adapter]\ninit_lora_weights = \"olora\""),
    ("an_adapter_of_a_start_misspelt", "[adapter]\ninit_lora_weights = \"pisa\""),
    ("an_adapter_of_no_rounds", "[adapter]\ninit_lora_weights = \"pissa_niter_0\""),
    ("an_adapter_with_top_layers", "[adapter]\n[strategy]\ntrain_top_layers = 2"),
    ("an_adapter_with_everything_frozen", "[adapter]\n[strategy]\nfreeze = [\"**\"]"),
    ("an_adapter_with_full_training", "[adapter]\n[strategy]\nmethod = \"full\""),
    ("a_rank_that_is_a_word", "[adapter]\nrank_pattern = { q_proj = \"big\" }"),
    (
        "a_std_that_does_nothing",
        "[strategy]\nreinitialize = [{ layers = \"classifier.**\", scheme = \"zeros\", std = 0.1 }]",
    ),
    ("reinitialize_without_layers", "[strategy]\nreinitialize = [{ scheme = \"zeros\" }]"),
    ("a_loss_that_is_a_string", "[a]\nb = 1\n[loss]\nname = \"focal\""),
    ("a_plugin_and_a_builtin", "[loss]\nplugin = \"a.wasm\"\nbuiltin = \"cross-entropy\""),
    ("limits_on_a_builtin", "[loss]\nbuiltin = \"cross-entropy\"\nlimits = { deadline_ms = 5 }"),
    ("a_config_that_is_no_table", "[loss]\nplugin = \"a.wasm\"\nconfig = 2.0"),
    ("an_export_without_a_directory", "[export]\n"),
];

#[test]
fn every_mistake_in_a_section_is_shown_where_it_stands() {
    for (name, lines) in WRONG {
        insta::assert_snapshot!(*name, diagnostic(&format!("{}\n{lines}\n", SOUND.trim())));
    }
}

/// Whole recipes that are wrong.
const WHOLE: &[(&str, &str)] = &[
    ("empty", ""),
    ("not_toml", "name = \n[model\nbase = 3"),
    ("a_key_twice", "seed = 1\nseed = 2"),
    ("model_is_a_string", "model = \"bert\"\n[data]\ntrain = \"a.csv\""),
    ("no_base", "[model]\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\""),
    ("base_and_config", "[model]\nbase = \"b\"\nconfig = \"c.json\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\""),
    ("config_without_tokenizer", "[model]\nconfig = \"c.json\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\""),
    (
        "words_in_blocks_with_columns_of_a_text",
        "[model]\nbase = \"b\"\ntask = \"token-classification\"\n[data]\ntrain = \"a.jsonl\"\nlayout = \"blocks\"\nlimit_per_label = 3\nmask = { whole_word = true }\n[data.columns]\ntext = \"t\"\nlabel = \"l\"",
    ),
    (
        "keys_of_other_tasks_for_a_masked_language_model",
        "[model]\nbase = \"b\"\ntask = \"masked-lm\"\n[data]\ntrain = \"a.jsonl\"\nlabels = [\"a\", \"b\"]\nlabel_all_tokens = true\nmask = { probability = 1.5, whole = true }\nchat = { wrap = true }\n[data.columns]\ntokens = \"t\"\ncompletion = \"c\"",
    ),
    (
        "several_labels_in_blocks_with_columns_of_other_tasks",
        "[model]\nbase = \"b\"\ntask = \"multi-label-classification\"\n[data]\ntrain = \"a.jsonl\"\nlayout = \"blocks\"\nlimit_per_label = 3\nlabels = [\"a\", \"b\"]\n[data.columns]\nlabel = \"l\"\nlabels = [\"x\", \"y\", \"x\"]\nlabel_separator = \",\"\ncompletion = \"c\"\n[loss]\nbuiltin = \"cross-entropy\"\n[evaluation]\nmetrics = [\"accuracy\"]",
    ),
    (
        "a_choice_of_one_label",
        "[model]\nbase = \"b\"\ntask = \"multi-label-classification\"\n[data]\ntrain = \"a.jsonl\"\ncolumns = { labels = [\"x\"] }",
    ),
    (
        "a_regression_with_labels",
        "[model]\nbase = \"b\"\ntask = \"regression\"\n[data]\ntrain = \"a.jsonl\"\nlabels = [\"a\", \"b\"]\nlayout = \"packed\"\ncolumns = { label = \"score\", label_separator = \",\" }\n[loss]\nbuiltin = \"binary-cross-entropy\"\n[evaluation]\nmetrics = [\"multi-label\"]",
    ),
    (
        "several_columns_for_one_label",
        "[model]\nbase = \"b\"\ntask = \"sequence-classification\"\n[data]\ntrain = \"a.jsonl\"\ncolumns = { labels = [\"x\", \"y\"] }",
    ),
    ("a_misspelt_task", "[model]\nbase = \"b\"\ntask = \"sequence-clasification\"\n[data]\ntrain = \"a.csv\""),
    ("a_home_path", "[model]\nbase = \"~/models/b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\""),
    (
        "a_home_path_of_a_plugin",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\"\n[loss]\nplugin = \"~/focal.wasm\"",
    ),
    (
        "a_mode_without_a_metric",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\"\nvalidation = { split = 0.1 }\n[evaluation]\nbest = { mode = \"max\" }",
    ),
    (
        "a_mode_that_is_a_number",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\"\nvalidation = { split = 0.1 }\n[evaluation]\nbest = { metric = \"loss\", mode = 1 }",
    ),
    ("an_unknown_device", "device = \"tpu\"\n[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\""),
    ("a_name_with_a_slash", "name = \"a/b\"\n[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\""),
    ("a_spreadsheet", "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.xlsx\""),
    (
        "a_split_of_all",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\"\nvalidation = { split = 1.0 }",
    ),
    (
        "a_validation_that_is_a_number",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\"\nvalidation = 0.1",
    ),
    (
        "one_label",
        "[model]\nbase = \"b\"\ntask = \"sequence-classification\"\n[data]\ntrain = \"a.csv\"\nlabels = [\"only\"]",
    ),
    (
        "a_label_twice",
        "[model]\nbase = \"b\"\ntask = \"sequence-classification\"\n[data]\ntrain = \"a.csv\"\nlabels = [\"a\", \"b\", \"a\"]",
    ),
    (
        "labels_for_a_language_model",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\"\nlabels = [\"a\", \"b\"]",
    ),
    (
        "blocks_for_a_classifier",
        "[model]\nbase = \"b\"\ntask = \"sequence-classification\"\n[data]\ntrain = \"a.csv\"\nlayout = \"blocks\"",
    ),
    (
        "packing_for_a_classifier",
        "[model]\nbase = \"b\"\ntask = \"sequence-classification\"\n[data]\ntrain = \"a.csv\"\nlayout = \"packed\"",
    ),
    (
        "further_columns_of_packed_rows",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.jsonl\"\nlayout = \"packed\"\nextra_columns = [\"price\"]",
    ),
    (
        "a_prompt_alone",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.jsonl\"\ncolumns = { prompt = \"q\" }",
    ),
    (
        "a_text_beside_a_completion",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.jsonl\"\ncolumns = { text = \"q\", completion = \"a\" }",
    ),
    (
        "a_label_for_a_language_model",
        "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.jsonl\"\ncolumns = { label = \"kind\" }",
    ),
    (
        "many_at_once",
        "sede = 4\n[model]\nbase = \"b\"\ntask = \"seq\"\n[data]\ntrain = \"a.csv\"\nmax_length = \"128\"\n[training]\nepochs = 0\nlr = 1",
    ),
];

#[test]
fn every_mistake_in_a_whole_recipe_is_shown_where_it_stands() {
    for (name, text) in WHOLE {
        insta::assert_snapshot!(*name, diagnostic(text));
    }
}

#[test]
fn one_run_reports_every_problem() {
    let (_, text) = WHOLE[WHOLE.len() - 1];
    let count = read(text).err().map(|c| c.count());
    assert_eq!(count, Some(5));
}

pub(crate) const FULL: &str = r#"
name = "all-of-it"
seed = 3
device = "cpu"
[model]
config = "config.json"
tokenizer = "../tok"
task = "sequence-classification"
[data]
train = "train.tsv"
validation = { split = 0.25 }
test = "test.jsonl"
columns = { text = "q", text_pair = "a", label = "kind" }
extra_columns = ["weight"]
labels = ["no", "yes"]
max_length = 64
limit_per_label = 10
group_by = "kind"
workers = 2
preprocess = ["length-filter"]
[strategy]
freeze = "embeddings.**"
train_top_layers = 2
reinitialize = [{ layers = ["classifier.**", "pooler.**"], scheme = "normal", std = 0.1 }, { layers = "x", scheme = "zeros" }]
[[strategy.policy]]
plugin = "p.wasm"
config = { every_epochs = 2, nested = { a = [1, 2.5, "x"] } }
limits = { deadline_ms = 5 }
[loss]
plugin = "focal.wasm"
[training]
max_steps = 100
optimizer = { learning_rate = 1e-3, epsilon = 1e-12 }
lr_scheduler = { name = "cosine", warmup_steps = 7 }
max_grad_norm = 0
checkpoint = { every_steps = 20, keep = 1 }
[evaluation]
every = { steps = 50 }
metrics = ["accuracy", "report.wasm", { plugin = "m.wasm", config = { k = 3 } }]
best = { metric = "accuracy", mode = "max" }
early_stopping = { patience = 2 }
[export]
directory = "out"
"#;

const PAIRS: &str = "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.jsonl\"\n\
    columns = { prompt = \"q\", completion = \"a\", label = \"kind\" }\nlimit_per_label = 3\n";

#[test]
fn a_resolved_recipe_reads_back_as_itself() {
    for text in [SOUND, FULL, PAIRS] {
        let recipe = read(text).unwrap_or_else(|c| panic!("{}", c.render(false, None)));
        let written = resolved::resolved(&recipe);
        let again = read(&written).unwrap_or_else(|c| panic!("{}\n{written}", c.render(false, None)));
        assert_eq!(resolved::resolved(&again), written);
    }
}

#[test]
fn a_resolved_recipe_shows_every_value_a_run_uses() {
    insta::assert_snapshot!("resolved_with_all_defaults", resolved::resolved(&read(SOUND).unwrap()));
    insta::assert_snapshot!("resolved_with_everything_set", resolved::resolved(&read(FULL).unwrap()));
}

#[test]
fn a_recipe_without_a_name_is_named_after_its_file_and_reads_back() {
    for (stem, name) in [
        ("my recipe (2)", "my-recipe-2"),
        ("lr=2e-4", "lr-2e-4"),
        ("..hidden", "hidden"),
        ("(((", "run"),
        ("überblick", "überblick"),
    ] {
        let text = Text { name: "recipe.toml".into(), text: Arc::from(SOUND) };
        let recipe = Recipe::parse(text, Path::new("/here"), stem).unwrap();
        assert_eq!(recipe.name, name);
        assert_eq!(read(&resolved::resolved(&recipe)).unwrap().name, name);
    }
}

#[test]
fn paths_are_relative_to_the_recipe() {
    let recipe = read(FULL).unwrap();
    assert_eq!(recipe.model.tokenizer, Path::new("/tok"));
    assert_eq!(recipe.data.train, Path::new("/here/train.tsv"));
}

#[test]
fn every_ready_recipe_is_sound() {
    for embedded in super::embedded::RECIPES {
        let text = Text { name: embedded.name.into(), text: Arc::from(embedded.text) };
        if let Err(diagnostic) = Recipe::parse(text, Path::new("/here"), embedded.name) {
            panic!("{}", diagnostic.render(false, None));
        }
        assert!(!embedded.about().is_empty(), "{} begins with a comment that says what it is for", embedded.name);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_at_all_makes_the_reader_fail_other_than_by_a_diagnostic(text in "\\PC*") {
        if let Err(diagnostic) = read(&text) {
            proptest::prop_assert!(!diagnostic.render(false, Some(80)).is_empty());
        }
    }

    #[test]
    fn a_recipe_with_a_stretch_torn_out_or_put_in_twice_is_read_or_complained_about(from in 0..FULL.len(), length in 0_usize..60, twice: bool) {
        let to = (from + length).min(FULL.len());
        let text = if twice { format!("{}{}", &FULL[..to], &FULL[from..]) } else { format!("{}{}", &FULL[..from], &FULL[to..]) };
        match read(&text) {
            Ok(recipe) => proptest::prop_assert!(read(&resolved::resolved(&recipe)).is_ok()),
            Err(diagnostic) => proptest::prop_assert!(diagnostic.count() >= 1 && diagnostic.render(true, None).contains("recipe.toml")),
        }
    }
}

#[test]
fn keys_of_other_systems_lead_to_ours() {
    let wrong = [
        "[training]\nper_device_eval_batch_size = 8",
        "[training]\nper_device_train_batch_size = 8",
        "[training]\nbf16 = true",
        "adapter = \"lora\"",
        "[training]\nmetric_for_best_model = \"accuracy\"",
        "[training]\nearly_stopping_patience = 3",
        "[training]\nload_best_model_at_end = true",
        "[data]\nmax_seq_length = 128",
    ];
    let shown: Vec<String> = wrong
        .iter()
        .map(|lines| {
            // Before the sections, a section of its own, or within one that is there.
            let text = match lines.strip_prefix("[data]\n") {
                Some(key) => format!("{SOUND}{key}\n"),
                None if lines.starts_with('[') => format!("{SOUND}{lines}\n"),
                None => format!("{lines}\n{SOUND}"),
            };
            diagnostic(&text)
        })
        .collect();
    insta::assert_snapshot!("keys_of_other_systems", shown.join("\n"));
}

#[test]
fn the_reference_page_and_the_schema_in_the_checkout_are_those_of_this_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let made = [
        ("REFERENCE.md", super::reference::page()),
        ("recipe.schema.json", format!("{:#}\n", super::schema::schema())),
    ];
    for (name, text) in made {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            // As snapshots are: `INSTA_UPDATE=always cargo test` writes them.
            if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
                std::fs::write(&path, text).unwrap();
            } else {
                panic!(
                    "{} is not what this code makes; INSTA_UPDATE=always cargo test -p retune-recipe",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_schema_alone_takes_every_ready_recipe_and_refuses_what_is_misspelt() {
    let validator = retune_schema::compile(super::schema::schema()).unwrap();
    let json = |text: &str| serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    for embedded in super::embedded::RECIPES {
        let errors: Vec<_> = validator.iter_errors(&json(embedded.text)).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", embedded.name);
    }
    for (name, lines) in WRONG.iter().filter(|(name, _)| name.starts_with("unknown_")) {
        assert!(!validator.is_valid(&json(&format!("{}\n{lines}\n", SOUND.trim()))), "{name}");
    }
}

#[test]
fn every_key_has_a_sentence() {
    for section in super::reference::sections() {
        for key in &section.keys {
            assert!(key.about.ends_with('.') && key.about.len() > 5, "{}.{}: {:?}", section.name, key.name, key.about);
        }
    }
}

mod one_line {
    //! A new key is a field with its doc comment, and nothing else.

    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use smart_default::SmartDefault;

    #[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Section {
        /// Averages the weights of the last so many steps.
        #[default(8)]
        #[schemars(range(min = 1))]
        average_steps: u64,
    }

    #[test]
    fn a_field_with_its_doc_comment_is_a_key_with_type_bounds_default_and_sentence() {
        let mut schema = serde_json::to_value(schemars::schema_for!(Section)).unwrap();
        super::super::schema::tidy(&mut schema);
        let key = super::super::reference::key_of("average_steps", &schema["properties"]["average_steps"], false, "");
        assert_eq!(
            (key.kind.as_str(), key.default.as_str(), key.about.as_str()),
            ("whole number, at least 1", "8", "Averages the weights of the last so many steps.")
        );
        let validator = retune_schema::compile(&schema).unwrap();
        for (value, sound) in [("0", false), ("\"x\"", false), ("3", true)] {
            let given = serde_json::from_str(&format!("{{\"average_steps\": {value}}}")).unwrap();
            assert_eq!(retune_schema::faults(&schema, &validator, &given).is_empty(), sound, "{value}");
        }
        assert_eq!(serde_json::from_str::<Section>("{}").unwrap().average_steps, 8);
    }
}

#[test]
fn max_steps_without_epochs_is_not_cut_short_by_a_default_number_of_epochs() {
    let epochs = |training: &str| {
        let minimal = "[model]\nbase = \"b\"\ntask = \"causal-lm\"\n[data]\ntrain = \"a.txt\"\n[training]\n";
        read(&format!("{minimal}{training}")).unwrap().training.epochs
    };
    assert_eq!(epochs("max_steps = 50"), None);
    assert_eq!(epochs(""), Some(3));
    assert_eq!(epochs("max_steps = 50\nepochs = 2"), Some(2));
}

#[test]
fn what_is_pointed_at_is_shown_without_characters_that_rewrite_a_screen() {
    let told = diagnostic("[model]\r\nbase = \"\u{1b}[2J\u{9b}\u{202e}ü\"\r\n");
    assert!(told.contains("base = \"?[2J\u{bf}\u{fffd}ü\""), "{told}");
}
