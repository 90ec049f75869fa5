use std::path::PathBuf;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn page(name: &str) -> String {
    Inspected::read(&fixture(name)).unwrap().page()
}

#[test]
fn a_model_is_told_by_family_sizes_layers_tokenizer_and_tasks() {
    insta::assert_snapshot!("a_decoder_in_bfloat16", page("families/qwen2-window-tied"));
    insta::assert_snapshot!("a_fused_decoder", page("families/phi3"));
    insta::assert_snapshot!("matrices_that_are_stored_turned_round", page("families/gpt2"));
    insta::assert_snapshot!("a_decoder_with_a_tokenizer", page("../../host/recipes/quickstart/base"));
    insta::assert_snapshot!("a_config_alone", page("../../host/recipes/pretraining/config.json"));
}

#[test]
fn every_family_can_be_inspected_and_its_layers_hold_all_parameters() {
    for folder in std::fs::read_dir(fixture("families")).unwrap() {
        let folder = folder.unwrap().path();
        let found = Inspected::read(&folder).unwrap();
        let inside: u64 = found.layers.iter().map(|group| group.parameters).sum();
        assert_eq!(inside, found.parameters, "{}", folder.display());
        assert!(!found.tasks.is_empty() && found.tasks[0].new.is_empty(), "{}: {:?}", folder.display(), found.tasks);
        let config = ModelConfig::read(&folder).unwrap();
        let kind = TaskKind::ALL.into_iter().find(|kind| kind.as_str() == found.tasks[0].task).unwrap();
        let outline = Outline::read(&Base::Directory(folder), &task(kind, &config), None).unwrap();
        for group in &found.layers {
            let taken = outline.select(&group.glob).unwrap();
            let scalars: u64 = taken.iter().map(|&index| outline.parameters[index].numel()).sum();
            // A glob over names of parameters leaves a layer's norm out where that has a name beside it.
            assert!(0 < scalars && scalars <= group.parameters, "{} of {}", group.glob, found.family);
        }
    }
}

#[test]
fn what_cannot_be_inspected_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = String::new();
    let mut tell = |what: &str| {
        let error = Inspected::read(folder.path()).unwrap_err().to_string();
        said.push_str(&format!("{what}\n{}\n\n", error.replace(&folder.path().display().to_string(), "DIR")));
    };
    tell("an empty folder");
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "gemma4_text"}"#).unwrap();
    tell("a family that is not there");
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "mixtral"}"#).unwrap();
    tell("another");
    std::fs::copy(fixture("families/gpt2/config.json"), folder.path().join("config.json")).unwrap();
    std::fs::copy(fixture("families/phi3/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    tell("weights of another model");
    insta::assert_snapshot!(said);
}
