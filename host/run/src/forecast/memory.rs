//! Memory of a run, by part, at the moment when there is most of it.
//!
//! A run is walked through: the model is loaded, a backward pass begins, goes down block by block while activations make place for
//! gradients, and the model is saved and evaluated. What a moment holds is the sum of its [`Parts`], and the peak is the largest.
//!
//! What is freed does not all go back to the system. glibc maps blocks of more than 32 MiB by themselves and unmaps them at
//! once; smaller ones lie in a heap, of which up to 256 MiB stay for the next step (`retune_train::memory`). So a moment holds its
//! large blocks, and of small ones as many as any moment had, less what is given back. A masked language model shows it: its
//! activations are freed into the heap before three tables of the vocabulary's size are mapped beside it.

use std::cmp::Reverse;

use serde::Serialize;

/// Bytes, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// The program, its threads, the tokenizer, plugins, and what the allocator keeps beside what was asked of it.
    pub process: u64,
    /// Prepared rows, which are mapped.
    pub rows: u64,
    /// Weights: float32, and bfloat16 where they are stored so and may never learn.
    pub weights: u64,
    /// AdamW's two moments of what may learn.
    pub moments: u64,
    /// Gradients of what may learn.
    pub gradients: u64,
    /// What the backward pass needs of the largest micro-batch.
    pub activations: u64,
    /// Logits, and gradients of what the head reads.
    pub head: u64,
    /// What passes through a block at a time.
    pub workspace: u64,
    /// Keys and values of answers that are being written.
    pub cache: u64,
    /// Freed, and kept for the next step.
    pub freed: u64,
}

/// When there is most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// The weights are read.
    Loading,
    /// The largest batch has gone forward.
    #[default]
    BackwardBegins,
    /// The backward pass is somewhere between the blocks.
    Backward,
    /// Every gradient is there.
    BackwardEnds,
    /// A checkpoint or the result is written, or the best weights are read back.
    Saving,
    /// The longest rows are evaluated.
    Evaluation,
    /// Answers are written for metrics that read them.
    Answers,
}

/// The memory of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The most of each part, at whatever moment.
    #[serde(flatten)]
    pub most: Parts,
    /// Each part when all together are most.
    pub at_peak: Parts,
    /// When that is.
    pub moment: Moment,
    /// The most at one time.
    pub peak: u64,
}

impl Parts {
    /// Names for people, in the order of a run, and bytes.
    pub fn each(&self) -> [(&'static str, u64); 10] {
        [
            ("program and tokenizer", self.process),
            ("prepared rows", self.rows),
            ("weights", self.weights),
            ("moments of AdamW", self.moments),
            ("gradients", self.gradients),
            ("activations", self.activations),
            ("head", self.head),
            ("workspace", self.workspace),
            ("keys and values", self.cache),
            ("freed and kept", self.freed),
        ]
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.each().iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Moment {
    /// In a sentence that begins with "most of it".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "while the weights are read",
            Self::BackwardBegins => "when the backward pass of the largest batch begins",
            Self::Backward => "in the backward pass of the largest batch",
            Self::BackwardEnds => "when the backward pass ends",
            Self::Saving => "while the weights are written",
            Self::Evaluation => "while the longest rows are evaluated",
            Self::Answers => "while answers are written for the metrics",
        }
    }
}

/// Bytes that the allocator keeps of a heap at most; see the module.
const KEPT: u64 = 256 << 20;

/// A block of more bytes than this is mapped by itself.
pub(super) const MAPPED: u64 = 32 << 20;

/// The moments of a run, as they are found.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments(Vec<(Moment, Parts, u64)>);

impl Moments {
    /// Takes a moment into account; `mapped` of its bytes are in blocks that go back to the system when they are freed.
    pub fn add(&mut self, moment: Moment, parts: Parts, mapped: u64) {
        self.0.push((moment, parts, mapped.min(parts.total())));
    }

    /// The most of each part, and all of them when they are most. With `heap` what is freed may stay.
    pub fn memory(self, heap: bool) -> Memory {
        let mut memory = Memory::default();
        let high = self.0.iter().map(|(_, parts, mapped)| parts.total() - mapped).max().unwrap_or(0);
        for (moment, mut parts, mapped) in self.0 {
            let small = parts.total() - mapped;
            // Before anything is trained nothing was freed that could be kept.
            if heap && moment != Moment::Loading {
                parts.freed = (high - small).min(KEPT);
            }
            memory.most = memory.most.or_more(parts);
            // Of moments that hold as much, the one that asks for most of it.
            let now = (parts.total(), Reverse(parts.freed));
            if now > (memory.peak, Reverse(memory.at_peak.freed)) {
                (memory.peak, memory.at_peak, memory.moment) = (parts.total(), parts, moment);
            }
        }
        memory
    }
}

impl Parts {
    /// Of each part the larger one.
    fn or_more(self, other: Self) -> Self {
        Self {
            process: self.process.max(other.process),
            rows: self.rows.max(other.rows),
            weights: self.weights.max(other.weights),
            moments: self.moments.max(other.moments),
            gradients: self.gradients.max(other.gradients),
            activations: self.activations.max(other.activations),
            head: self.head.max(other.head),
            workspace: self.workspace.max(other.workspace),
            cache: self.cache.max(other.cache),
            freed: self.freed.max(other.freed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_parts_at_the_peak_add_up_to_it_and_each_part_has_its_most() {
        let mut moments = Moments::default();
        let before = Parts { weights: 10, activations: 30, ..Parts::default() };
        let after = Parts { weights: 10, gradients: 25, ..Parts::default() };
        moments.add(Moment::BackwardBegins, before, 0);
        moments.add(Moment::BackwardEnds, after, 0);
        let memory = moments.memory(false);
        assert_eq!((memory.peak, memory.moment, memory.at_peak), (40, Moment::BackwardBegins, before));
        assert_eq!((memory.most.gradients, memory.most.activations), (25, 30));
    }

    /// Small blocks stay, up to a limit, and large ones come beside them.
    #[test]
    fn what_was_freed_is_counted_beside_what_is_mapped() {
        let of = |small: u64, large: u64| {
            let mut moments = Moments::default();
            moments.add(Moment::BackwardBegins, Parts { activations: small * MIB, ..Parts::default() }, 0);
            let gradients = Parts { gradients: (large + 50) * MIB, ..Parts::default() };
            moments.add(Moment::BackwardEnds, gradients, large * MIB);
            let memory = moments.memory(true);
            assert_eq!(memory.at_peak.total(), memory.peak);
            (memory.peak / MIB, memory.at_peak.freed / MIB, memory.moment)
        };
        assert_eq!(of(150, 100), (250, 100, Moment::BackwardEnds));
        assert_eq!(of(150, 0), (150, 0, Moment::BackwardBegins));
        assert_eq!(of(1000, 100), (1000, 0, Moment::BackwardBegins));
        assert_eq!(of(1000, 900), (1206, 256, Moment::BackwardEnds));
    }
}
