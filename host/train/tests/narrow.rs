//! A base that is kept in bfloat16 gives the bits that it gives in float32: every family of `tests/fixtures/families`,
//! whose weights are stored so.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use retune_roles::{Example, Sequence, Target};
use retune_tensor::{Device, Dtype, fused};
use retune_train::model::{Base, Model, Task, task_of_checkpoint};

fn rows(task: &Task) -> Vec<Example> {
    let row = |i: u32, length: u32| {
        let ids: Vec<u32> = (0..length).map(|at| 3 + (at * 7 + i * 5) % 29).collect();
        match task {
            Task::CausalLm => {
                let learnt = std::iter::once(1..length).collect();
                Example::new(i.to_string(), Sequence { ids, learnt, ..Sequence::default() }, Target::None)
            }
            _ => Example::new(i.to_string(), Sequence::of(ids), Target::Class(i % 2)),
        }
    };
    [5, 2, 9].into_iter().zip(0..).map(|(length, i)| row(i, length)).collect()
}

/// Bits of the logits, and of the gradient of each parameter that learns.
fn pass(model: &Model, rows: &[Example]) -> Vec<Vec<u32>> {
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let input = model.input(&rows.iter().collect::<Vec<_>>()).unwrap();
    let weights = model.weights(true);
    let forward = model.forward(&weights, &input, None).unwrap();
    let scores = fused::token_log_probs(&forward.logits, input.labels().unwrap().unwrap(), -100).unwrap();
    let gradients = weights.backward(&scores.sum(&[], false).unwrap()).unwrap();
    let plain = model.forward(&model.weights(false), &input, None).unwrap().logits.to_float32().unwrap();
    let gradients = gradients.into_iter().flatten().map(|gradient| bits(gradient.to_float32().unwrap()));
    std::iter::once(bits(plain)).chain([bits(scores.to_float32().unwrap())]).chain(gradients).collect()
}

#[test]
fn every_family_gives_the_same_bits_with_a_base_in_bfloat16() {
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/families");
    let mut seen = 0;
    for entry in std::fs::read_dir(families).unwrap() {
        let fixture = entry.unwrap().path();
        let task = task_of_checkpoint(&fixture).unwrap();
        let base = Base::Directory(fixture.clone());
        let (mut wide, _) = Model::load(&base, &task, 1, &Device::flex()).unwrap();
        for index in 0..wide.parameters().len() {
            if wide.parameters().at(index).unwrap().shape().len() == 2 {
                wide.parameters_mut().fix(index);
            }
        }
        let mut narrow = wide.clone();
        narrow.parameters_mut().narrow_fixed().unwrap();
        let bytes = |model: &Model| -> u64 {
            model.parameters().iter().filter(|p| p.shape().len() == 2).map(|p| p.value.byte_len()).sum()
        };
        assert_eq!(bytes(&narrow) * 2, bytes(&wide), "{}", fixture.display());
        let rows = rows(&task);
        assert!(pass(&wide, &rows) == pass(&narrow, &rows), "{}", fixture.display());
        let fingerprints = |model: &Model| -> Vec<[u8; 32]> {
            (0..model.parameters().len()).map(|index| model.parameters().fingerprint(index).unwrap()).collect()
        };
        assert_eq!(fingerprints(&wide), fingerprints(&narrow));
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn what_may_learn_or_would_lose_a_bit_stays_wide() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/families/qwen2");
    let base = Base::Directory(fixture);
    let (mut model, _) = Model::load(&base, &Task::CausalLm, 1, &Device::flex()).unwrap();
    let dtypes = |model: &Model, name: &str| model.parameters().get(name).unwrap().value.dtype();
    let [query, key, norm] = ["layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight", "norm.weight"]
        .map(|n| format!("model.{n}"));
    let index = model.parameters().index_of(&query).unwrap();
    let thirds = model.parameters().get(&query).unwrap().value.mul_scalar(1.0 / 3.0).unwrap();
    model.parameters_mut().set_value(index, thirds).unwrap();
    model.parameters_mut().narrow_fixed().unwrap();
    assert_eq!(dtypes(&model, &key), Dtype::Float32);
    (0..model.parameters().len()).for_each(|index| model.parameters_mut().fix(index));
    model.parameters_mut().narrow_fixed().unwrap();
    assert_eq!(
        [&query, &key, &norm].map(|name| dtypes(&model, name)),
        [Dtype::Float32, Dtype::Bfloat16, Dtype::Float32]
    );
}
