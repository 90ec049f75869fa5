//! A sequence of operations on tensors, each of which takes any of those that were made before.

use retune_sdk::tensor::{arange, cat, eye, from_float32, from_int64, full, normal, stack, uniform};
use retune_sdk::{Batch, Result, Tensor, fused};

use crate::program::Reader;

/// Most operations of a program.
const OPERATIONS: usize = 64;

/// The tensors that a program has made.
pub struct Made(Vec<Tensor>);

impl Made {
    /// What the batch has.
    pub fn of(batch: &Batch) -> Result<Self> {
        Ok(Self(vec![batch.require("logits")?, batch.require("labels")?]))
    }

    /// Any of them; the last more often than not.
    pub fn any(&self, reader: &mut Reader<'_>) -> &Tensor {
        let back = usize::from(reader.byte() / 64).min(self.0.len() - 1);
        &self.0[self.0.len() - 1 - back]
    }

    /// Does what the program says, up to the operation zero.
    pub fn play(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        for _ in 0..OPERATIONS {
            let operation = reader.of(84);
            if operation == 0 {
                return Ok(());
            }
            let made = self.once(operation, reader)?;
            self.0.extend(made);
        }
        Ok(())
    }

    fn once(&mut self, operation: u8, r: &mut Reader<'_>) -> Result<Vec<Tensor>> {
        if let 78.. = operation {
            return self.facts(operation, r);
        }
        let x = self.any(r);
        let one = match operation {
            1 => x.neg(),
            2 => x.abs(),
            3 => x.sign(),
            4 => x.recip(),
            5 => x.exp(),
            6 => x.log(),
            7 => x.log1p(),
            8 => x.sqrt(),
            9 => x.rsqrt(),
            10 => x.erf(),
            11 => x.floor(),
            12 => x.round(),
            13 => x.tanh(),
            14 => x.sigmoid(),
            15 => x.log_sigmoid(),
            16 => x.softplus(),
            17 => x.relu(),
            18 => x.gelu(),
            19 => x.silu(),
            20 => x.detach(),
            21 => x.is_finite(),
            22 => x.logical_not(),
            23 => x.add(self.any(r)),
            24 => x.sub(self.any(r)),
            25 => x.mul(self.any(r)),
            26 => x.div(self.any(r)),
            27 => x.pow(self.any(r)),
            28 => x.maximum(self.any(r)),
            29 => x.minimum(self.any(r)),
            30 => x.matmul(self.any(r)),
            31 => x.eq(self.any(r)),
            32 => x.lt(self.any(r)),
            33 => x.logical_and(self.any(r)),
            34 => x.add_scalar(r.number()),
            35 => x.mul_scalar(r.number()),
            36 => x.pow_scalar(r.number()),
            37 => x.gt_scalar(r.number()),
            38 => x.eq_scalar(r.number()),
            39 => x.clamp(r.flag().then(|| r.number()), r.flag().then(|| r.number())),
            40 => x.softmax(r.dim()),
            41 => x.log_softmax(r.dim()),
            42 => x.cum_sum(r.dim()),
            43 => x.sum(&dims(r), r.flag()),
            44 => x.mean(&dims(r), r.flag()),
            45 => x.max(&dims(r), r.flag()),
            46 => x.min(&dims(r), r.flag()),
            47 => x.variance(&dims(r), r.flag()),
            48 => x.log_sum_exp(&dims(r), r.flag()),
            49 => x.l2_norm(&dims(r), r.flag()),
            50 => x.any(&dims(r), r.flag()),
            51 => x.all(&dims(r), r.flag()),
            52 => x.arg_max(r.dim(), r.flag()),
            53 => x.arg_min(r.dim(), r.flag()),
            54 => x.histogram(r.size(), r.number(), r.number(), r.flag().then(|| self.any(r))),
            55 => x.reshape(&dims(r)),
            56 => x.permute(&dims(r)),
            57 => x.transpose(r.dim(), r.dim()),
            58 => x.expand(&dims(r)),
            59 => x.squeeze(r.dim()),
            60 => x.unsqueeze(r.dim()),
            61 => x.slice(r.dim(), r.whole(), r.whole(), r.size()),
            62 => x.flip(&dims(r)),
            63 => x.repeat(r.dim(), r.size()),
            64 => x.cast(r.dtype()),
            65 => x.gather(r.dim(), self.any(r)),
            66 => x.index_select(r.dim(), self.any(r)),
            67 => x.scatter_add(r.dim(), self.any(r), self.any(r)),
            68 => x.where_(self.any(r), self.any(r)),
            69 => x.masked_fill(self.any(r), r.number()),
            70 => x.one_hot(r.size()),
            71 => return Ok(pair(x.top_k(r.size(), r.dim()))),
            72 => return Ok(pair(x.sort(r.dim(), r.flag()))),
            73 => cat(&r.several(4, |r| self.any(r)), r.dim()),
            74 => stack(&r.several(4, |r| self.any(r)), r.dim()),
            75 => fused::token_log_probs(x, self.any(r), r.whole()),
            76 => fused::kl_div(x, self.any(r), r.number(), r.flag()),
            _ => match r.of(10) {
                0 => fused::mean_log_probs(x),
                1 => fused::entropy(x),
                2 => full(&r.several(9, Reader::size), r.number(), r.dtype()),
                3 => arange(r.whole(), r.whole(), r.whole()),
                4 => eye(r.size(), r.dtype()),
                5 => uniform(&r.several(4, Reader::size), r.number(), r.number(), r.long()),
                6 => normal(&r.several(4, Reader::size), r.number(), r.number(), r.long()),
                7 => from_float32(&r.several(16, |r| r.number() as f32), &r.several(4, Reader::size)),
                8 => from_int64(&r.several(16, Reader::whole), &r.several(4, Reader::size)),
                _ => x.ceil(),
            },
        };
        Ok(vec![one])
    }

    /// What reads or gives back tensors.
    fn facts(&mut self, operation: u8, r: &mut Reader<'_>) -> Result<Vec<Tensor>> {
        match operation {
            78 => drop(self.any(r).to_float32()?),
            79 => drop(self.any(r).to_int64()?),
            80 => drop(self.any(r).item()),
            81 => assert!(self.any(r).numel() < u64::MAX),
            82 => self.0.rotate_left(1),
            _ if self.0.len() > 1 => drop(self.0.pop()),
            _ => {}
        }
        Ok(Vec::new())
    }
}

fn dims(r: &mut Reader<'_>) -> Vec<i32> {
    r.several(4, Reader::dim)
}

fn pair((a, b): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![a, b]
}
