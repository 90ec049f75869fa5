//! Attack: repeats an operation on the logits and drops all it is given. What the backward pass keeps of it has no
//! handle, or it holds on to a row of a matrix whose handle it drops. Answered by the quota of tensors.
//! Config: {"operation": "exp", "times": 1000000}
//! Limits: {"deadline_ms": 60000}

use retune_sdk::tensor::{cat, full};
use retune_sdk::{Batch, Dtype, Error, Loss, LossOutput, Progress, Result, Tensor, fused};
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to repeat.
    operation: String,
    /// How often.
    times: u32,
}

/// The plugin.
pub struct Hostile {
    config: Config,
}

impl Loss for Hostile {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Ok(Self { config })
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let (logits, labels) = (batch.require("logits")?, batch.require("labels")?);
        let mut held = Vec::new();
        for _ in 0..self.config.times {
            held.extend(once(&self.config.operation, &logits, &labels)?);
        }
        Ok(LossOutput::new(logits.sum(&[], false), full(&[], f64::from(logits.shape()[0]), Dtype::Float32)))
    }
}

/// Does it once; gives what is held on to.
fn once(operation: &str, x: &Tensor, labels: &Tensor) -> Result<Option<Tensor>> {
    let size = x.shape()[0];
    let new = |dtype| full(&[size, size], 1.0, dtype);
    let row = || x.slice(0, 0, 1, 1);
    drop(match operation {
        "neg" => x.neg(),
        "abs" => x.abs(),
        "recip" => x.recip(),
        "exp" => x.exp(),
        "log" => x.log(),
        "log1p" => x.log1p(),
        "sqrt" => x.sqrt(),
        "rsqrt" => x.rsqrt(),
        "erf" => x.erf(),
        "round" => x.round(),
        "tanh" => x.tanh(),
        "sigmoid" => x.sigmoid(),
        "log-sigmoid" => x.log_sigmoid(),
        "softplus" => x.softplus(),
        "relu" => x.relu(),
        "gelu" => x.gelu(),
        "silu" => x.silu(),
        "add-scalar" => x.add_scalar(1.0),
        "mul-scalar" => x.mul_scalar(2.0),
        "pow-scalar" => x.pow_scalar(-2.0),
        "pow-scalar of a fraction" => x.pow_scalar(0.5),
        "clamp" => x.clamp(Some(-1.0), Some(1.0)),
        "cast" => x.cast(Dtype::Float64),
        "flip" => x.flip(&[0]),
        "repeat" => x.repeat(0, 2),
        "transpose and reshape" => x.transpose(0, 1).reshape(&[-1]),
        "sum" => x.sum(&[], false),
        "sum of rows" => x.sum(&[1], false),
        "mean" => x.mean(&[0], false),
        "max" => x.max(&[], false),
        "max of thin dimensions" => x.reshape(&[1, 1, 1, -1]).max(&[0, 1, 2], false).sum(&[], false),
        "min of rows" => x.min(&[-1], false),
        "variance" => x.variance(&[], false),
        "log-sum-exp" => x.log_sum_exp(&[], false),
        "log-sum-exp of rows" => x.log_sum_exp(&[-1], false),
        "l2-norm" => x.l2_norm(&[], false),
        "cum-sum" => x.cum_sum(0),
        "softmax" => x.softmax(-1),
        "log-softmax" => x.log_softmax(-1),
        "softmax of columns" => x.softmax(0),
        "maximum" => x.maximum(&new(Dtype::Float32)),
        "where" => x.gt_scalar(0.0).where_(x, &new(Dtype::Int64)),
        "masked-fill" => x.masked_fill(&x.gt_scalar(0.0), 0.0),
        "sort" => x.sort(0, true).0,
        "top-k" => x.top_k(1, 0).0,
        "add" => x.add(&new(Dtype::Float32)),
        "mul" => x.mul(&new(Dtype::Uint8)),
        "div" => x.div(&new(Dtype::Int32)),
        "pow" => x.abs().pow(&new(Dtype::Float32)),
        "matmul of a row" => row().matmul(&new(Dtype::Float32)),
        "matmul of a row with bytes" => row().matmul(&new(Dtype::Uint8)),
        "matmul of a row with float64" => row().matmul(&new(Dtype::Float64)),
        "gather" => x.slice(1, 0, 2, 1).gather(1, &new(Dtype::Uint8)),
        "index-select" => x.index_select(0, &full(&[size], 0.0, Dtype::Uint8)),
        "scatter-add" => x.scatter_add(1, &new(Dtype::Uint8), &new(Dtype::Float64)),
        "histogram" => new(Dtype::Float32).histogram(2, 0.0, 2.0, Some(x)),
        "cat" => cat(&[x, &new(Dtype::Int32)], 0),
        "token-log-probs" => fused::token_log_probs(x, labels, -100),
        "mean-log-probs" => fused::mean_log_probs(x),
        "kl-div" => fused::kl_div(x, &new(Dtype::Float32), 2.0, false),
        "kl-div of both" => fused::kl_div(x, &x.flip(&[0]), 2.0, true),
        "entropy" => fused::entropy(x),
        "a row of a matrix" => return Ok(Some(new(Dtype::Float32).slice(0, 0, 1, 1))),
        "a row of a transposed matrix" => {
            return Ok(Some(new(Dtype::Float32).transpose(0, 1).slice(0, 0, 1, 1).detach().unsqueeze(0)));
        }
        "the largest places" => return Ok(Some(new(Dtype::Float32).top_k(1, 0).1)),
        other => return Err(Error::config(format!("there is no operation `{other}`"))),
    });
    Ok(None)
}

retune_sdk::export!(loss: Hostile);
