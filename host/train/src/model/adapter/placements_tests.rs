#![allow(clippy::unwrap_used)]
use super::*;

fn module(name: &str, kind: ModuleKind) -> Module {
    Module { name: name.into(), kind, input: 4, output: 4, transposed: false }
}

fn modules() -> Vec<Module> {
    let mut all = vec![module("model.embed_tokens", ModuleKind::Table)];
    for layer in [0, 1, 10] {
        for name in ["self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj"] {
            all.push(module(&format!("model.layers.{layer}.{name}"), ModuleKind::Linear));
        }
    }
    all.push(module("lm_head", ModuleKind::OutputHead));
    all
}

fn place(spec: &AdapterSpec) -> Result<Placements, ModelError> {
    let modules = modules();
    let mut names: Vec<String> = modules.iter().map(|module| format!("{}.weight", module.name)).collect();
    names.push("model.norm.weight".into());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Placements::of(spec, &modules, &names, BTreeSet::new())
}

fn targets(patterns: &[&str]) -> AdapterSpec {
    AdapterSpec { target_modules: patterns.iter().map(|p| (*p).to_owned()).collect(), ..AdapterSpec::default() }
}

fn taken(patterns: &[&str]) -> Vec<String> {
    place(&targets(patterns)).unwrap().modules.into_keys().collect()
}

fn refusal(spec: &AdapterSpec) -> String {
    let error = place(spec).unwrap_err();
    let ModelError::Adapter { help, .. } = &error else { unreachable!("{error}") };
    format!("{error}\n{}", help.clone().unwrap_or_default())
}

#[test]
fn all_linear_is_every_linear_layer_but_head_and_tables() {
    assert_eq!(place(&AdapterSpec::default()).unwrap().modules.len(), 9);
    assert!(!taken(&["all-linear"]).iter().any(|name| name == "lm_head" || name.ends_with("embed_tokens")));
    assert_eq!(taken(&["all-linear", "lm_head"]).len(), 10);
}

#[test]
fn modules_are_named_by_last_segments_as_in_peft_or_by_globs() {
    assert_eq!(taken(&["q_proj", "embed_tokens"]).len(), 4);
    assert_eq!(taken(&["layers.1.self_attn.q_proj"]), ["model.layers.1.self_attn.q_proj"]);
    assert_eq!(taken(&["layers.1"]).len(), 3, "never layer 10");
    assert_eq!(taken(&["layers.{0..1}.**.{q,v}_proj"]).len(), 4);
    assert!(place(&targets(&["_proj"])).is_err(), "a part of a segment is none");
}

#[test]
fn the_longest_pattern_gives_rank_and_alpha() {
    let spec = AdapterSpec {
        rank_pattern: [("q_proj".into(), 2), ("layers.1.self_attn.q_proj".into(), 3)].into(),
        alpha_pattern: [("up_proj".into(), 1.0)].into(),
        ..AdapterSpec::default()
    };
    let placed = place(&spec).unwrap();
    let of = |name: &str| placed.get(name).map(|p| (p.r, p.lora_alpha, p.scale)).unwrap();
    assert_eq!(of("model.layers.0.self_attn.q_proj"), (2, 8.0, 4.0));
    assert_eq!(of("model.layers.1.self_attn.q_proj"), (3, 8.0, 8.0 / 3.0));
    assert_eq!(of("model.layers.10.mlp.up_proj"), (8, 1.0, 0.125));
}

#[test]
fn what_is_trained_whole_has_no_adapter() {
    let spec = AdapterSpec {
        modules_to_save: vec!["lm_head".into(), "norm".into(), "layers.0.mlp".into()],
        ..targets(&["all-linear"])
    };
    let placed = place(&spec).unwrap();
    assert!(placed.is_whole("lm_head.weight") && placed.is_whole("model.norm.weight"));
    assert!(placed.is_whole("model.layers.0.mlp.up_proj.weight") && placed.get("model.layers.0.mlp.up_proj").is_none());
    assert_eq!(placed.modules.len(), 8);
}

#[test]
fn what_cannot_be_is_refused_with_the_nearest_names_and_the_way_out() {
    let all = [
        targets(&["q_porj"]),
        targets(&["attention.query"]),
        targets(&["layers.{3..1}"]),
        targets(&[]),
        AdapterSpec { modules_to_save: vec!["lm_head".into()], ..targets(&["lm_head"]) },
        AdapterSpec { modules_to_save: vec!["lm_haed".into()], ..AdapterSpec::default() },
        AdapterSpec { rank_pattern: [("v_proj".into(), 4)].into(), ..targets(&["q_proj"]) },
        AdapterSpec { alpha_pattern: [("u_proj".into(), 4.0)].into(), ..targets(&["all-linear"]) },
        AdapterSpec { method: AdapterMethod::Dora, ..targets(&["embed_tokens"]) },
        AdapterSpec { method: AdapterMethod::Dora, ..targets(&["lm_head"]) },
        AdapterSpec { r: 0, ..AdapterSpec::default() },
        AdapterSpec { rank_pattern: [("q_proj".into(), 0)].into(), ..AdapterSpec::default() },
        AdapterSpec { lora_alpha: -1.0, ..AdapterSpec::default() },
        AdapterSpec { lora_dropout: 1.0, ..AdapterSpec::default() },
        AdapterSpec { loraplus_lr_ratio: Some(0.0), ..AdapterSpec::default() },
        AdapterSpec { init_lora_weights: InitLoraWeights::Pissa, r: 5, ..AdapterSpec::default() },
        AdapterSpec {
            init_lora_weights: InitLoraWeights::PissaNiter(4),
            r: 4,
            rank_pattern: [("up_proj".into(), 6)].into(),
            ..AdapterSpec::default()
        },
        AdapterSpec { init_lora_weights: InitLoraWeights::Pissa, r: 2, ..targets(&["embed_tokens"]) },
    ];
    insta::assert_snapshot!(all.iter().map(refusal).collect::<Vec<_>>().join("\n\n"));
}
