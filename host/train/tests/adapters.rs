//! Adapters compute and learn what peft's do: the fixtures that `tests/reference/adapter_fixtures.py` wrote, whatever lies
//! there; and what holds of every adapter.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::PathBuf;

use retune_roles::InitScheme;
use retune_tensor::{Device, from_float32};
use retune_train::AdamW;
use retune_train::model::adapter::{AdapterMethod, AdapterSpec, InitLoraWeights, ModuleKind};
use retune_train::model::{
    Base, DropoutSeeds, ExportForm, Model, Origin, Parameter, StoredDtype, Trained, task_of_checkpoint,
};
use retune_train::optimizer::adamw::{Optimizer, Rate};
use retune_train::optimizer::gradients::Gradients;
use serde_json::Value;
use support::expected::{Fixture, fixtures, largest, mean_loss, shown};

/// Of the script that wrote the fixtures.
const LEARNING_RATE: f64 = 2e-3;
const WEIGHT_DECAY: f64 = 0.01;

/// The specification that a `LoraConfig` is, as saved.
fn spec(fixture: &Fixture) -> AdapterSpec {
    let text = std::fs::read(fixture.directory.join("adapter_config.json")).unwrap();
    let config: Value = serde_json::from_slice(&text).unwrap();
    let list = |key: &str| match &config[key] {
        Value::String(one) => vec![one.clone()],
        Value::Null => Vec::new(),
        several => serde_json::from_value(several.clone()).unwrap(),
    };
    // peft names every head that some classifier has.
    let saved = list("modules_to_save").into_iter().filter(|name| !["classifier", "score"].contains(&name.as_str()));
    AdapterSpec {
        method: if config["use_dora"] == Value::Bool(true) { AdapterMethod::Dora } else { AdapterMethod::Lora },
        use_rslora: config["use_rslora"] == Value::Bool(true),
        r: config["r"].as_u64().unwrap() as usize,
        lora_alpha: config["lora_alpha"].as_f64().unwrap(),
        target_modules: list("target_modules"),
        rank_pattern: serde_json::from_value(config["rank_pattern"].clone()).unwrap(),
        alpha_pattern: serde_json::from_value(config["alpha_pattern"].clone()).unwrap(),
        modules_to_save: saved.collect(),
        init_lora_weights: match &config["init_lora_weights"] {
            Value::String(name) => InitLoraWeights::try_from(name.clone()).unwrap(),
            _ => InitLoraWeights::KaimingUniform,
        },
        ..AdapterSpec::default()
    }
}

fn base(fixture: &Fixture) -> PathBuf {
    let base = std::fs::read_to_string(fixture.directory.join("base")).unwrap();
    fixture.directory.join("../..").join(base.trim())
}

fn new_adapter(fixture: &Fixture, spec: &AdapterSpec) -> Model {
    let base = base(fixture);
    let task = task_of_checkpoint(&base).unwrap();
    Model::load_with_adapter(&Base::Directory(base), &task, spec, 1, &Device::flex()).unwrap().0
}

/// With the values that peft saved; every parameter that learns is among them, under its name.
fn adapted(fixture: &Fixture) -> Model {
    let mut model = new_adapter(fixture, &spec(fixture));
    let saved = fixture.file("adapter_model.safetensors");
    let mut names: Vec<String> = saved.keys().map(|name| name["base_model.model.".len()..].to_owned()).collect();
    let mut own: Vec<String> = model.parameters().iter().filter(|p| p.trainable).map(|p| p.name.clone()).collect();
    own.sort();
    names.sort();
    assert_eq!(own, names, "{}", fixture.name);
    for (name, (shape, values)) in saved {
        let index = model.parameters().index_of(&name["base_model.model.".len()..]).unwrap();
        let values = values.into_iter().map(|x| x as f32).collect();
        let value = from_float32(values, &shape, &Device::flex()).unwrap();
        model.parameters_mut().set_value(index, value).unwrap();
    }
    model
}

fn logits(model: &Model, fixture: &Fixture) -> Vec<f32> {
    let input = fixture.input(model);
    model.forward(&model.weights(false), &input, None).unwrap().logits.to_float32().unwrap()
}

fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    largest(found.iter().zip(expected).map(|(a, b)| f64::from(*a) - b))
}

/// Every adapter that peft wrote beside a model of the fixtures.
fn all() -> Vec<Fixture> {
    fixtures("adapters").into_iter().chain(principal()).collect()
}

#[test]
fn logits_are_within_1e_4_of_peft() {
    for fixture in all() {
        let off = distance(&logits(&adapted(&fixture), &fixture), fixture.values("logits"));
        println!("{}: {off:.1e}", fixture.name);
        assert!(off <= 1e-4, "{}: {off} away", fixture.name);
    }
}

#[test]
fn gradients_are_within_1e_4_of_peft_and_nothing_else_has_one() {
    for fixture in all() {
        let model = adapted(&fixture);
        let (input, weights) = (fixture.input(&model), model.weights(true));
        let loss = mean_loss(&model.forward(&weights, &input, None).unwrap(), &input);
        assert!((loss.item().unwrap() - fixture.values("loss")[0]).abs() < 1e-5, "{}", fixture.name);
        let gradients = weights.backward(&loss).unwrap();
        let named = fixture.expected.keys().filter(|key| key.starts_with("grad."));
        let most = named.map(|name| largest(fixture.values(name).iter().copied())).fold(0.0, f64::max);
        for (parameter, gradient) in model.parameters().iter().zip(&gradients) {
            assert_eq!(gradient.is_some(), parameter.trainable, "{}, {}", fixture.name, parameter.name);
            let Some(gradient) = gradient else { continue };
            let (found, expected) = (shown(gradient), fixture.values(&format!("grad.{}", parameter.name)));
            let off = largest(found.iter().zip(expected).map(|(a, b)| a - b));
            let size = largest(expected.iter().copied()).max(1e-3 * most);
            assert!(off <= 1e-4 * size, "{}, {}: {off} of {size}", fixture.name, parameter.name);
        }
    }
}

#[test]
fn losses_of_20_steps_of_adamw_are_within_1e_3_of_peft_and_the_base_keeps_its_bytes() {
    for fixture in all() {
        let mut model = adapted(&fixture);
        let frozen = |model: &Model| -> Vec<[u8; 32]> {
            let all = model.parameters().iter().enumerate().filter(|(_, p)| !p.trainable);
            all.map(|(index, _)| model.parameters().fingerprint(index).unwrap()).collect()
        };
        let before = frozen(&model);
        let mut optimizer = Optimizer::new(AdamW::default(), model.parameters().len());
        let input = fixture.input(&model);
        for (step, expected) in fixture.values("losses").iter().enumerate() {
            let weights = model.weights(true);
            let loss = mean_loss(&model.forward(&weights, &input, None).unwrap(), &input);
            let mut gradients = Gradients::none(model.parameters().len());
            gradients.add(weights.backward(&loss).unwrap()).unwrap();
            let found = loss.item().unwrap();
            assert!((found - expected).abs() < 1e-3, "{}, step {step}: {found}, not {expected}", fixture.name);
            drop((weights, loss));
            let rate = |parameter: &Parameter| Rate {
                learning_rate: LEARNING_RATE,
                weight_decay: if parameter.decay { WEIGHT_DECAY } else { 0.0 },
            };
            optimizer.update(model.parameters_mut(), gradients, 1.0, rate, false).unwrap();
        }
        assert_eq!(before, frozen(&model), "{}", fixture.name);
    }
}

#[test]
fn a_new_adapter_gives_the_logits_of_its_base_bit_for_bit() {
    for fixture in all() {
        let base = base(&fixture);
        let task = task_of_checkpoint(&base).unwrap();
        let (plain, _) = Model::load(&Base::Directory(base), &task, 1, &Device::flex()).unwrap();
        let new = new_adapter(&fixture, &spec(&fixture));
        assert!(new.parameters().iter().any(|p| p.origin == Origin::Adapter && p.trainable));
        // A head's wider matrix is summed up in another order, and gelu_new beside its projection is not the fused one.
        let rounds = |name: &str| name == "lm_head" || name.ends_with("c_fc");
        let rounded = new.adapter().unwrap().placed.iter().any(|placed| rounds(&new.modules()[placed.module].name));
        let (found, expected) = (logits(&new, &fixture), logits(&plain, &fixture));
        let exact = found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
        let off = largest(found.iter().zip(&expected).map(|(a, b)| f64::from(a - b)));
        assert!(exact || rounded && off < 2e-6, "{}: {off}", fixture.name);
    }
}

#[test]
fn a_merged_export_computes_what_the_adapter_does() {
    for fixture in all() {
        let model = adapted(&fixture);
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        model.export(&directory, None).unwrap();
        let (merged, report) = Model::load(&Base::Directory(directory), model.task(), 1, &Device::flex()).unwrap();
        assert_eq!((&report.new, &report.unused), (&Vec::new(), &Vec::new()), "{}", fixture.name);
        let off = distance(&logits(&merged, &fixture), fixture.values("logits"));
        assert!(off <= 1e-4, "{}: {off} away", fixture.name);
    }
}

#[test]
fn a_base_that_is_kept_in_bfloat16_gives_the_same_bits() {
    for fixture in all() {
        let mut model = adapted(&fixture);
        let before = logits(&model, &fixture);
        model.parameters_mut().narrow_fixed().unwrap();
        let after = logits(&model, &fixture);
        assert!(before.iter().zip(&after).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", fixture.name);
    }
}

/// Central differences along a direction in which one value of the parameter moves.
#[test]
fn gradients_of_a_b_and_magnitudes_are_those_of_finite_differences() {
    // peft and Liu et al. hold the lengths of rows constant, so of DoRA only the magnitude's gradient is the loss's own.
    for (name, ending) in [
        ("llama-lora", "q_proj.lora_A.weight"),
        ("llama-lora", "down_proj.lora_B.weight"),
        ("gpt2-lora", "c_attn.lora_A.weight"),
        ("phi3-lora", "gate_up_proj.lora_B.weight"),
        ("llama-dora", "v_proj.lora_magnitude_vector"),
        ("gpt2-tables", "wpe.lora_embedding_B"),
        ("mistral-head", "lm_head.lora_B.weight"),
        ("llama-pissa", "q_proj.lora_A.weight"),
        ("gpt2-pissa", "c_attn.lora_B.weight"),
        ("mistral-pissa-tables", "lm_head.lora_A.weight"),
        ("llama-pissa-dora", "up_proj.lora_magnitude_vector"),
    ] {
        let fixture = all().into_iter().find(|fixture| fixture.name == name).unwrap();
        let mut model = adapted(&fixture);
        let input = fixture.input(&model);
        let index = model.parameters().iter().position(|p| p.name.ends_with(ending)).unwrap();
        let weights = model.weights(true);
        let loss = mean_loss(&model.forward(&weights, &input, None).unwrap(), &input);
        let gradient = weights.backward(&loss).unwrap()[index].clone().unwrap().to_float32().unwrap();
        let parameter = model.parameters().at(index).unwrap();
        let (start, shape) = (parameter.value.to_float32().unwrap(), parameter.shape().to_vec());
        // All values at once, each by the sign of its gradient: the slope is the sum of magnitudes.
        let slope: f64 = gradient.iter().map(|x| f64::from(x.abs())).sum();
        let step = 2e-3 / slope.max(0.1);
        let mut at = |sign: f64| {
            let moved = start.iter().zip(&gradient).map(|(x, g)| x + (sign * step * f64::from(g.signum())) as f32);
            let value = from_float32(moved.collect(), &shape, &Device::flex()).unwrap();
            model.parameters_mut().set_value(index, value).unwrap();
            mean_loss(&model.forward(&model.weights(false), &input, None).unwrap(), &input).item().unwrap()
        };
        let found = (at(1.0) - at(-1.0)) / (2.0 * step);
        assert!((found - slope).abs() < 2e-2 * slope, "{name}, {ending}: {found}, not {slope}");
    }
}

#[test]
fn dropout_of_an_adapter_is_that_of_the_row_whatever_else_is_in_the_batch() {
    for (name, method) in [
        ("llama-lora", AdapterMethod::Lora),
        ("llama-dora", AdapterMethod::Dora),
        ("llama-pissa", AdapterMethod::Lora),
        ("llama-pissa-dora", AdapterMethod::Dora),
    ] {
        let fixture = all().into_iter().find(|fixture| fixture.name == name).unwrap();
        let spec = AdapterSpec { lora_dropout: 0.3, method, ..spec(&fixture) };
        let mut model = new_adapter(&fixture, &spec);
        for index in 0..model.parameters().len() {
            let parameter = model.parameters().at(index).unwrap();
            if parameter.name.ends_with("lora_B.weight") {
                let shape = parameter.shape().to_vec();
                let count = shape.iter().product::<usize>();
                let values = (0..count).map(|i| (i as f32).sin() * 0.2).collect();
                model
                    .parameters_mut()
                    .set_value(index, from_float32(values, &shape, &Device::flex()).unwrap())
                    .unwrap();
            }
        }
        let rows = fixture.examples();
        let run = |picked: &[usize]| {
            let input = model.input(&picked.iter().map(|i| &rows[*i]).collect::<Vec<_>>()).unwrap();
            let seeds = DropoutSeeds::new(picked.iter().map(|i| 100 + *i as u64).collect());
            let shape = |seeds| model.forward(&model.weights(false), &input, seeds).unwrap().logits;
            let width = shape(None).shape()[1] * shape(None).shape()[2];
            let values = shape(Some(&seeds)).to_float32().unwrap();
            (values[..width].to_vec(), shape(None).to_float32().unwrap()[..width].to_vec(), shape(None).shape()[2])
        };
        let (dropped, whole, vocab) = run(&[0]);
        assert_ne!(dropped, whole, "{name}: it drops something");
        let (batched, _, _) = run(&[0, 1, 3]);
        let tokens = rows[0].tokens();
        let off = largest((0..tokens * vocab).map(|i| f64::from(dropped[i] - batched[i])));
        assert!(off < 1e-5, "{name}: {off}");
    }
}

#[test]
fn only_b_learns_faster_with_a_ratio() {
    let fixture = all().into_iter().find(|fixture| fixture.name == "gpt2-tables").unwrap();
    let model = new_adapter(&fixture, &AdapterSpec { loraplus_lr_ratio: Some(16.0), ..spec(&fixture) });
    for parameter in model.parameters() {
        let expected = if parameter.name.ends_with("lora_B.weight") { 16.0 } else { 1.0 };
        assert_eq!(parameter.lr_scale, expected, "{}", parameter.name);
    }
}

/// Those whose adapters start as a part of the base.
fn principal() -> Vec<Fixture> {
    fixtures("adapters-pissa")
}

/// `s B A` of the module called `name`, `[out, in]`, and the singular values: lengths of A's rows times B's columns, and `s`.
fn part(model: &Model, name: &str) -> (Vec<f64>, Vec<f64>) {
    let placed = model.adapter().unwrap().placed.iter().find(|p| model.modules()[p.module].name == name).unwrap();
    let values = |index: usize| -> Vec<f64> {
        model.parameters().at(index).unwrap().value.to_float32().unwrap().into_iter().map(f64::from).collect()
    };
    let (a, b, r) = (values(placed.a), values(placed.b), placed.r);
    let (input, out) = (a.len() / r, b.len() / r);
    let value = |row: usize, column: usize| -> f64 {
        (0..r).map(|k| b[row * r + k] * a[k * input + column]).sum::<f64>() * placed.scale
    };
    let product = (0..out).flat_map(|row| (0..input).map(move |column| (row, column)));
    let product = product.map(|(row, column)| value(row, column)).collect();
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let singular = (0..r).map(|k| {
        let row = length(&mut a[k * input..(k + 1) * input].iter().copied());
        row * length(&mut (0..out).map(|i| b[i * r + k])) * placed.scale
    });
    (product, singular.collect())
}

#[test]
fn a_principal_start_has_the_singular_values_of_the_base_and_is_the_part_that_peft_takes() {
    for fixture in principal() {
        let new = new_adapter(&fixture, &spec(&fixture));
        let mut seen = 0;
        for (name, (_, expected)) in &fixture.expected {
            let Some(module) = name.strip_prefix("singular.") else { continue };
            let (_, found) = part(&new, module);
            let off = largest(found.iter().zip(expected).map(|(a, b)| a / b - 1.0));
            assert!(found.len() == expected.len() && off < 1e-6, "{}, {module}: {off}", fixture.name);
            seen += 1;
        }
        let linear = new.adapter().unwrap().placed.iter().filter(|placed| placed.start.is_some()).count();
        assert!(seen > 0 && seen == linear, "{}: {seen}", fixture.name);
    }
    // This one was saved before it learnt; signs of singular vectors are anybody's, so products are compared.
    let fixture = principal().into_iter().find(|fixture| fixture.name == "llama-pissa").unwrap();
    let (new, theirs) = (new_adapter(&fixture, &spec(&fixture)), adapted(&fixture));
    for placed in &new.adapter().unwrap().placed {
        let name = &new.modules()[placed.module].name;
        let ((found, _), (expected, _)) = (part(&new, name), part(&theirs, name));
        let off = largest(found.iter().zip(&expected).map(|(a, b)| a - b));
        // torch finds them in float32.
        assert!(off < 5e-6, "{name}: {off}");
    }
}

#[test]
fn what_is_taken_off_the_base_never_learns_and_is_where_an_adapter_begins_anew() {
    let fixture = principal().into_iter().find(|fixture| fixture.name == "llama-pissa-dora").unwrap();
    let bytes = |model: &Model| -> Vec<[u8; 32]> {
        (0..model.parameters().len()).map(|index| model.parameters().fingerprint(index).unwrap()).collect()
    };
    let new = bytes(&new_adapter(&fixture, &spec(&fixture)));
    let mut model = adapted(&fixture);
    let starts: Vec<usize> = model.adapter().unwrap().placed.iter().filter_map(|p| p.start).flatten().collect();
    assert_eq!(starts.len(), 2 * 3 * 2, "three modules in two blocks");
    for index in starts {
        model.parameters_mut().set_trainable(index, true);
        let parameter = model.parameters().at(index).unwrap();
        assert!(!parameter.trainable && !parameter.may_learn && parameter.origin == Origin::Adapter);
        assert_eq!(parameter.stored_dtype(), StoredDtype::Float32);
    }
    assert_ne!(bytes(&model), new);
    for index in 0..model.parameters().len() {
        if model.parameters().at(index).unwrap().origin == Origin::Adapter {
            model.reinitialize(index, InitScheme::Zeros, 99).unwrap();
        }
    }
    assert_eq!(bytes(&model), new);
}

#[test]
fn subspace_iteration_is_near_the_exact_start_and_the_same_for_any_number_of_threads() {
    for fixture in principal() {
        let near = AdapterSpec { init_lora_weights: InitLoraWeights::PissaNiter(16), ..spec(&fixture) };
        let on = |threads: usize, spec: &AdapterSpec| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| new_adapter(&fixture, spec))
        };
        let digest = |model: &Model| {
            let all = 0..model.parameters().len();
            all.map(|index| model.parameters().fingerprint(index).unwrap()).collect::<Vec<_>>()
        };
        let (one, three) = (on(1, &near), on(3, &near));
        assert!(digest(&one) == digest(&three), "{}", fixture.name);
        assert!(digest(&on(1, &spec(&fixture))) == digest(&on(3, &spec(&fixture))), "{}", fixture.name);
        for (name, (_, expected)) in &fixture.expected {
            let Some(module) = name.strip_prefix("singular.") else { continue };
            let off = largest(part(&one, module).1.iter().zip(expected).map(|(a, b)| a / b - 1.0));
            assert!(off < 1e-3, "{}, {module}: {off}", fixture.name);
        }
    }
}

#[test]
fn an_adapter_that_started_as_a_part_of_the_base_is_written_as_a_plain_one_of_twice_the_rank() {
    for fixture in principal() {
        let (model, asked) = (adapted(&fixture), spec(&fixture));
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        let base = base(&fixture).canonicalize().unwrap();
        model.export_as(ExportForm::Adapter { base: base.to_str().unwrap() }, &directory, None, None).unwrap();
        let config: Value =
            serde_json::from_slice(&std::fs::read(directory.join("adapter_config.json")).unwrap()).unwrap();
        assert_eq!((&config["init_lora_weights"], &config["r"]), (&Value::Bool(true), &Value::from(2 * asked.r)));
        let trained = Trained::open(&directory, None).unwrap();
        let (plain, _) = trained.load(&trained.task().unwrap(), 1, &Device::flex()).unwrap();
        assert!(!plain.parameters().iter().any(|p| p.name.contains("_start")));
        for (ours, theirs) in plain.adapter().unwrap().placed.iter().zip(&model.adapter().unwrap().placed) {
            let table = model.modules()[theirs.module].kind == ModuleKind::Table;
            assert_eq!(ours.r, if table { theirs.r } else { 2 * theirs.r }, "{}", fixture.name);
            assert!((ours.scale / theirs.scale - 1.0).abs() < 1e-12, "{}", fixture.name);
        }
        let off = distance(&logits(&plain, &fixture), fixture.values("logits"));
        assert!(off <= 1e-4, "{}: {off} away", fixture.name);
    }
}
