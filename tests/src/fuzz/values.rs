//! What a plugin gives the host: rows, tensors, changes, values, words.
//!
//! The first byte of the input chooses a role, the others are the program of `plugins/hostile/improvises`, which says what to give and
//! which operations to do. Laws: a value, or a failure that names the plugin in bounded words; what the loss gives can be gone through
//! backward; memory and time stay within small limits.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use retune_roles::{Batch, Event, Failure, Layer, LayerKind, Loss, Metric, Policy, Progress, Sample, Trigger, Value};
use retune_sandbox::{Limits, Plugin, Sandbox, Setup};
use retune_tensor::{Device, from_float32, from_int64};
use retune_train::model::pattern::Patterns;
use serde_json::json;

use super::files::tests;
use super::{LONGEST, check_told};

/// Time of a call, in milliseconds.
const DEADLINE: u64 = 500;

/// What an operation that has begun, a backward pass, and a slow machine may take beyond the deadline.
const SLACK: Duration = Duration::from_secs(8);

/// Plays a role with a program; panics when a law is broken.
pub fn values(data: &[u8]) {
    let Some((role, program)) = data.split_first() else { return };
    let program: String = program.iter().map(|byte| char::from(*byte)).collect();
    let Ok(config) = plugin().resolve_config(&json!({ "program": program })) else { panic!("a program is refused") };
    let mut setup = Setup::new(config, 7);
    setup.limits = Limits {
        memory_mib: 64,
        deadline_ms: DEADLINE,
        copy_mib: 16,
        handles: 1_000,
        tensor_mib: 64,
        readback_mib: 16,
        words_mib: 4,
        ..Limits::default()
    };
    let begin = Instant::now();
    let answer = match role % 4 {
        0 => plugin().loss(&setup, &Device::flex()).and_then(|mut loss| compute(&mut *loss)),
        1 => plugin().policy(&setup).and_then(|mut policy| decide(&mut *policy)),
        2 => plugin().metric(&setup, &Device::flex()).and_then(|mut metric| measure(&mut *metric)),
        _ => process(&setup),
    };
    let took = begin.elapsed();
    // A role is begun, and called a few times.
    assert!(took < Duration::from_millis(5 * DEADLINE) + SLACK, "{took:?} under a deadline of {DEADLINE} ms");
    if let Err(failure) = answer {
        let told = failure.to_string();
        check_told(&told);
        assert!(told.contains("improvises"), "the plugin is not named: {told}");
        let details = failure.details();
        details.backtrace.iter().chain(&details.help).for_each(|told| check_told(told));
    }
}

/// The plugin, loaded once. `RETUNE_PLUGINS` is where plugins are, if not in this checkout's `target/plugins`.
fn plugin() -> &'static Plugin {
    static LOADED: OnceLock<Plugin> = OnceLock::new();
    LOADED.get_or_init(|| {
        let built = std::env::var_os("RETUNE_PLUGINS").map_or_else(|| tests().join("../target/plugins"), PathBuf::from);
        let path = built.join("hostile/improvises.wasm");
        assert!(path.is_file(), "{} is missing: run `cargo xtask plugins` first", path.display());
        Sandbox::new(None).unwrap().load(&path).unwrap()
    })
}

fn batch() -> Batch {
    let device = Device::flex();
    let logits = (0..12).map(|i| (i as f32 * 1.7).sin()).collect();
    let logits = from_float32(logits, &[4, 3], &device).unwrap().leaf().unwrap();
    let labels = from_int64(vec![0, 2, -100, 1], &[4], &device).unwrap();
    Batch::new((0..4).map(|row| format!("t.csv:{row}")).collect()).with("logits", logits).with("labels", labels)
}

/// A loss, and the pass backward from it.
fn compute(loss: &mut dyn Loss) -> Result<(), Failure> {
    let batch = batch();
    let output = loss.compute(&batch, &Progress::default())?;
    for reported in &output.reported {
        check_told(&reported.name);
    }
    assert!(output.numerator.shape().is_empty() && output.denominator.shape().is_empty(), "a sum has dimensions");
    let _ = (output.numerator.item(), output.denominator.item());
    if output.numerator.is_tracked() {
        let mut gradients = output.numerator.backward().unwrap();
        let logits = batch.get("logits").unwrap();
        if let Some(gradient) = gradients.take(logits) {
            assert_eq!(gradient.shape(), logits.shape(), "a gradient of another shape");
        }
    }
    Ok(())
}

fn decide(policy: &mut dyn Policy) -> Result<(), Failure> {
    let layer = |depth: u32| Layer {
        name: format!("layers.{depth}.mlp"),
        depth,
        kind: LayerKind::Mlp,
        parameters: 12,
        trainable: true,
    };
    policy.describe();
    policy.attach(&[layer(0), layer(1)])?;
    let event = Event { trigger: Trigger::Start, at: Progress::default(), train_loss: None, layers: Vec::new() };
    for change in policy.decide(&event)? {
        check_told(&change.layers);
        check_told(&change.reason);
        assert_eq!(change.action.check(), Ok(()), "a change that no optimiser can use");
        if let Err(error) = Patterns::new(&[change.layers]) {
            check_told(&error.to_string());
        }
    }
    policy.save().map(drop)
}

fn measure(metric: &mut dyn Metric) -> Result<(), Failure> {
    for value in metric.describe() {
        check_told(&value.name);
        check_told(value.unit.as_deref().unwrap_or_default());
    }
    metric.update(&batch())?;
    let snapshot = metric.snapshot()?;
    metric.merge(&snapshot)?;
    for (name, _) in metric.compute()? {
        check_told(&name);
    }
    metric.reset()
}

fn process(setup: &Setup) -> Result<(), Failure> {
    let mut preprocessor = plugin().preprocessor(setup)?;
    let contract = preprocessor.describe();
    contract.reads.iter().chain(&contract.writes).for_each(|field| check_told(field));
    let sample = |row: u32| Sample {
        key: format!("t.csv:{row}"),
        seed: 7,
        fields: vec![("text".to_owned(), Value::Text("a text".to_owned()))],
    };
    let result = preprocessor.process(&[sample(2), sample(3), sample(4)])?;
    for output in &result.outputs {
        assert!(output.source < 3, "a row of no source");
        let size: usize = output.fields.iter().map(|(name, value)| name.len() + value.byte_len()).sum();
        assert!(size <= 16 << 20, "{size} bytes of a row");
    }
    for rejection in &result.rejected {
        assert!(rejection.source < 3 && rejection.reason.chars().count() <= LONGEST, "{rejection:?}");
        check_told(&rejection.reason);
    }
    preprocessor.finish().map(drop)
}
