//! What an operation takes while it works is within its quota, and it is refused before memory is taken when it is not. A process
//! of its own, because it counts what this one allocates.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../../tests/support/counting.rs"]
mod counting;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{AT, batch_of, plugin};
use counting::most;
use retune_sandbox::{Limits, Setup};
use retune_tensor::{AnyTensor, Device, Dtype, from_int64, normal};
use serde_json::json;

/// Rows and columns of the logits: 1 MiB of float32.
const SIZE: usize = 512;

/// A plugin to run, and pieces that do not grow with a tensor: at most this much beside the quota.
const BESIDE: usize = 768 << 10;

/// The largest quota that is tried, in MiB: that many tensors of float32.
const MOST: u64 = 48;

const OPERATIONS: &str = "neg abs recip exp log log1p sqrt rsqrt erf round tanh sigmoid log-sigmoid softplus relu gelu silu \
    add-scalar mul-scalar pow-scalar clamp cast flip repeat sum mean max variance log-sum-exp l2-norm cum-sum softmax \
    log-softmax maximum where masked-fill sort top-k add mul div pow gather index-select scatter-add histogram cat \
    token-log-probs mean-log-probs kl-div entropy one-hot eye normal arange stack equal logic is-finite arg-max";

const MORE: [&str; 49] = [
    "pow-scalar of a fraction",
    "transpose and reshape",
    "sum of rows",
    "max of thin dimensions",
    "min of rows",
    "log-sum-exp of rows",
    "softmax of columns",
    "matmul of a row",
    "matmul of a row with bytes",
    "matmul of a row with float64",
    "kl-div of both",
    "kl-div of constants",
    "a row of a matrix",
    "a row of a transposed matrix",
    "the largest places",
    "sort of all",
    "sort of float64",
    "top-k of all",
    "histogram of values",
    "histogram of bytes",
    "eye of bytes",
    "cat of kinds",
    "equal of kinds",
    "row and column",
    "maximum of row and column",
    "equal of row and column",
    "where of row and column",
    "masked-fill of a row",
    "any of thin dimensions",
    "arg-max of thin dimensions",
    "variance of thin dimensions",
    "log-sum-exp of thin dimensions",
    "transposed exp",
    "transposed softmax",
    "transposed matmul",
    "transposed sort",
    "transposed histogram",
    "transposed gather",
    "expanded and copied",
    "expanded maximum",
    "cast to int64",
    "cast to float16",
    "gather of a row",
    "gather of integers",
    "index-select of many",
    "matmul of integers",
    "division of integers",
    "power of integers",
    "scores of thin logits",
];

/// One test at a time is counted.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn batch(dtype: Dtype, tracked: bool) -> retune_roles::Batch {
    let device = Device::flex();
    let logits = normal(&[SIZE, SIZE], 1.0, 0.1, 7, &device).unwrap().cast(dtype).unwrap();
    let labels = from_int64(vec![1; SIZE], &[SIZE], &device).unwrap();
    batch_of(if tracked { logits.leaf().unwrap() } else { logits }).with("labels", labels)
}

#[test]
fn an_operation_takes_no_more_than_its_quota_and_is_refused_before_it_would() {
    let _turn = turn();
    let (plugin, device) = (plugin("hostile/hoards"), Device::flex());
    let mut wrong = Vec::new();
    for operation in OPERATIONS.split_whitespace().chain(MORE) {
        for (dtype, tracked) in
            [(Dtype::Float32, false), (Dtype::Float32, true), (Dtype::Bfloat16, false), (Dtype::Bfloat16, true)]
        {
            let batch = batch(dtype, tracked);
            let mut admitted = None;
            for tensor_mib in 0..=MOST {
                let config = json!({"operation": operation, "times": 1});
                let limits = Limits { tensor_mib, ..Limits::default() };
                let mut loss = plugin.loss(&Setup { limits, ..Setup::new(config, 7) }, &device).unwrap();
                let (grown, outcome) =
                    most(|| loss.compute(&batch, &AT).map(drop).map_err(|failure| failure.details().reason.clone()));
                let quota = (tensor_mib as usize) << 20;
                if grown > quota + BESIDE {
                    wrong.push(format!(
                        "{operation} of {dtype}: {} KiB of {} KiB, {outcome:?}",
                        grown >> 10,
                        quota >> 10
                    ));
                }
                match outcome {
                    Ok(()) => {
                        admitted = Some((tensor_mib, grown));
                        break;
                    }
                    Err(reason) => {
                        let told = reason.starts_with("made tensors of more than ")
                            || reason.contains("bytes allowed")
                            || reason.contains("MiB of tensors are left");
                        if !told {
                            wrong.push(format!("{operation} of {dtype}: {reason}"));
                            break;
                        }
                    }
                }
            }
            match admitted {
                None => wrong.push(format!("{operation} of {dtype} is never admitted")),
                Some((quota, grown)) => {
                    println!("{operation:32} {dtype} {tracked}: {} of {} KiB", grown >> 10, quota << 10)
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_backward_pass_takes_at_most_three_times_the_quota() {
    let _turn = turn();
    let (plugin, device) = (plugin("hostile/hoards"), Device::flex());
    let batch = batch(Dtype::Float32, true);
    for operation in OPERATIONS.split_whitespace().chain(MORE) {
        let config = json!({"operation": operation, "times": 8, "learn": true});
        // The least that is enough.
        for tensor_mib in (4..=512).step_by(4) {
            let limits = Limits { tensor_mib, ..Limits::default() };
            let mut loss = plugin.loss(&Setup { limits, ..Setup::new(config.clone(), 7) }, &device).unwrap();
            let Ok(output) = loss.compute(&batch, &AT) else { continue };
            let numerator: AnyTensor = output.numerator;
            let (grown, _) = most(|| numerator.backward().unwrap());
            println!("{operation:32} {} of {} KiB", grown >> 10, tensor_mib << 10);
            assert!(grown <= (3 * tensor_mib as usize) << 20, "{operation}: {} KiB of {tensor_mib} MiB", grown >> 10);
            break;
        }
    }
}
