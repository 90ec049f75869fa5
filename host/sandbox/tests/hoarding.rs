//! What the backward pass keeps is within a loss's quota, whichever operation keeps
//! it. A process of its own, because it counts what this one allocates.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../../tests/support/counting.rs"]
mod counting;

use common::{AT, batch_of, plugin};
use counting::most;
use retune_roles::Batch;
use retune_sandbox::{Limits, Setup};
use retune_tensor::{AnyTensor, Device, Dtype, from_int64, normal};
use serde_json::json;

/// Rows and columns of the logits: 256 KiB of float32.
const SIZE: usize = 256;

/// The quota.
const MIB: u64 = 16;

/// What an operation needs while it works, and a plugin to run: at most this much beside the quota.
const WORK: usize = 4 << 20;

const OPERATIONS: &str = "neg abs recip exp log log1p sqrt rsqrt erf round tanh sigmoid log-sigmoid softplus relu gelu silu \
    add-scalar mul-scalar pow-scalar clamp cast flip repeat sum mean max variance log-sum-exp l2-norm cum-sum softmax \
    log-softmax maximum where masked-fill sort top-k add mul div pow gather index-select scatter-add histogram cat \
    token-log-probs mean-log-probs kl-div entropy";

const MORE: [&str; 14] = [
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
    "a row of a matrix",
    "a row of a transposed matrix",
    "the largest places",
];

fn labelled(logits: &AnyTensor) -> Batch {
    let labels = from_int64(vec![1; SIZE], &[SIZE], &Device::flex()).unwrap();
    batch_of(logits.clone()).with("labels", labels)
}

#[test]
fn what_the_backward_pass_keeps_is_within_the_quota_whichever_operation_keeps_it() {
    let plugin = plugin("hostile/hoards");
    let device = Device::flex();
    let plain = normal(&[SIZE, SIZE], 1.0, 0.1, 7, &device).unwrap();
    let mut wrong = Vec::new();
    for dtype in [Dtype::Float32, Dtype::Bfloat16] {
        let batch = labelled(&plain.cast(dtype).unwrap().leaf().unwrap());
        for operation in OPERATIONS.split_whitespace().chain(MORE) {
            let config = json!({"operation": operation, "times": 400});
            let limits = Limits { tensor_mib: MIB, ..Limits::default() };
            let mut loss = plugin.loss(&Setup { limits, ..Setup::new(config, 7) }, &device).unwrap();
            let (grown, outcome) =
                most(|| loss.compute(&batch, &AT).map(drop).map_err(|failure| failure.details().reason.clone()));
            // One that keeps nothing may come to its end.
            let told = match &outcome {
                Ok(()) => true,
                Err(reason) => {
                    reason.starts_with("made tensors of more than 16 MiB")
                        || reason.contains("bytes allowed")
                        || reason.contains("of 16 MiB of tensors are left")
                }
            };
            if grown > ((MIB as usize) << 20) + WORK || !told {
                wrong.push(format!("{dtype} {operation}: {} KiB, {outcome:?}", grown >> 10));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
