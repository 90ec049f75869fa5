"""A metric: how far the model's confidence is from how often it is right (Guo et al. 2017).

Predictions fall into bins by their confidence. `ece` is the mean distance of confidence and accuracy over bins, weighted by
rows; `mce` the greatest; `overconfidence` the mean confidence less the accuracy. Three lists of `bins` numbers are read back a batch.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from retune_sdk import IGNORE_INDEX, Batch, Bounds, TensorMetric, ValueSpec, export


@dataclass
class Config:
    bins: Annotated[int, Bounds(ge=1, le=1000), "Bins of equal width over confidences from 0 to 1."] = 15


class CalibrationError(TensorMetric):
    Config = Config
    config: Config

    def describe(self):
        return [ValueSpec("ece", False), ValueSpec("mce", False), ValueSpec("overconfidence", False)]

    def reset(self):
        # Of each bin: rows, right ones, sum of confidences.
        self.state = [[0.0] * self.config.bins for _ in range(3)]

    def update(self, batch: Batch):
        logits, labels = batch["logits"], batch["labels"]
        confidence = logits.softmax(-1).amax(-1)
        counted = (labels != IGNORE_INDEX).float()
        right = (logits.argmax(-1) == labels).float()
        sums = [confidence.histogram(self.config.bins, 0, 1, each) for each in (counted, right, confidence * counted)]
        self.merge([each.to_float32() for each in sums])

    def merge(self, state):
        self.state = [
            [a + b for a, b in zip(own, other, strict=True)] for own, other in zip(self.state, state, strict=True)
        ]

    def compute(self):
        rows, right, confidence = self.state
        total = sum(rows)
        if total == 0:
            return dict.fromkeys(("ece", "mce", "overconfidence"), math.nan)
        gaps = [(n, abs(c - r) / n) for n, r, c in zip(rows, right, confidence, strict=True) if n]
        return {
            "ece": sum(n * gap for n, gap in gaps) / total,
            "mce": max(gap for _, gap in gaps),
            "overconfidence": (sum(confidence) - sum(right)) / total,
        }


export(CalibrationError)
