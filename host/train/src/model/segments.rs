//! Where the graph of a forward pass is cut, and how gradients cross the cuts.
//!
//! A [`Segment`] is a part of the network that ran without recording: it kept what it read, and gives gradients by running
//! again. What it gave is the leaf that the next part reads, so that each part has a graph of its own, and the backward pass
//! goes through them from the last to the first. Only one part's activations exist at a time.

use burn::tensor::{Gradients, Tensor};
use retune_tensor::AnyTensor;

/// Gradients of one segment.
pub(super) struct Parts {
    /// Of parameters, by index.
    pub weights: Vec<(usize, AnyTensor)>,
    /// Of what it read; `None` where nothing below learns.
    pub input: Option<Tensor<2>>,
}

/// Gradients of a segment, from that of its result.
pub(super) type Back = Box<dyn FnOnce(Tensor<2>) -> Parts + Send + Sync>;

/// A part that ran without recording.
struct Segment {
    /// What it gave; a leaf.
    output: Tensor<2>,
    back: Back,
}

/// The segments of one forward pass.
pub(super) struct Chain {
    /// What the first one read, with its graph where it has one.
    start: Tensor<2>,
    segments: Vec<Segment>,
}

impl Chain {
    /// Without segments yet.
    pub(super) fn new(start: Tensor<2>) -> Self {
        Self { start, segments: Vec::new() }
    }

    /// Adds a segment that gave `output`, untracked; gives the leaf that the next part reads.
    pub(super) fn push(&mut self, output: Tensor<2>, back: Back) -> Tensor<2> {
        let output = output.autodiff().require_grad();
        self.segments.push(Segment { output: output.clone(), back });
        output
    }

    /// Goes back through all segments, from the gradients of what follows them. `found` is told each parameter's.
    /// Gives what the first segment read, and its gradient where something below it learns.
    pub(super) fn back(
        self,
        gradients: &mut Gradients,
        mut found: impl FnMut(usize, AnyTensor),
    ) -> Option<(Tensor<2>, Tensor<2>)> {
        let mut segments = self.segments.into_iter().rev();
        let last = segments.next()?;
        let mut parts = (last.back)(last.output.grad_remove(gradients)?);
        loop {
            parts.weights.into_iter().for_each(|(index, gradient)| found(index, gradient));
            let grad = parts.input?;
            match segments.next() {
                Some(segment) => parts = (segment.back)(grad),
                None => return Some((self.start, grad)),
            }
        }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}
