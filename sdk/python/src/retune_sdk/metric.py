"""A number that says how good the model is.

A metric streams: `update` adds a batch to the state, `compute` answers at the end. Keep counts and sums in attributes that
`reset` makes; with several workers the host merges what `snapshot` gives. The state is small and does not grow with the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from retune_sdk.batch import Batch, InputSpec


@dataclass(frozen=True)
class ValueSpec:
    """One value that `compute` gives."""

    name: str
    """Its name in reports and in a recipe's `evaluation.best`: lower case with underscores."""
    higher_is_better: bool = True
    unit: str | None = None
    """`percent`, `nats`, `bits`; None for plain numbers."""


@dataclass(frozen=True)
class TextExample:
    """An answer of the model."""

    prompt: str
    prediction: str
    references: list[str]
    """What the row has in its place; at least one."""
    extra: str = "{}"
    """The row's further numeric columns, as a JSON object."""


class Metric:
    """What both kinds of metric have; subclass `TensorMetric`, `TextMetric`, or both."""

    Config: ClassVar[type | None] = None

    def __init__(self, config: Any = None, seed: int = 0) -> None:
        self.config = config
        self.seed = seed
        self.reset()

    def describe(self) -> Sequence[ValueSpec]:
        """What `compute` gives, in order."""
        raise NotImplementedError(f"{type(self).__name__} has no describe(self)")

    def reset(self) -> None:
        """Back to having seen nothing: `self.state = [0, 0]`. Whatever is in `state` is JSON."""
        raise NotImplementedError(f"{type(self).__name__} has no reset(self)")

    def merge(self, state: Any) -> None:
        """Adds the state of another instance to `self.state`; in any order and grouping the same comes out."""
        raise NotImplementedError(f"{type(self).__name__} has no merge(self, state)")

    def compute(self) -> Mapping[str, float]:
        """The values under the names of `describe`. NaN means undefined on this data. Does not change the state."""
        raise NotImplementedError(f"{type(self).__name__} has no compute(self)")

    def snapshot(self) -> bytes:
        """`self.state` as JSON, whose floats keep every bit."""
        return json.dumps(self.state).encode()

    def absorb(self, snapshot: bytes) -> None:
        """Merges what `snapshot` of another instance gave."""
        self.merge(json.loads(snapshot))

    state: Any


class TensorMetric(Metric):
    """Measures what the model computes."""

    def wants(self) -> Sequence[str | InputSpec]:
        """The tensors `update` will ask for."""
        return ["logits", "labels"]

    def update(self, batch: Batch) -> None:
        """Takes in one batch: reduce on the device, read back the few numbers that are left."""
        raise NotImplementedError(f"{type(self).__name__} has no update(self, batch)")


class TextMetric(Metric):
    """Measures what the model writes."""

    def update_texts(self, examples: Sequence[TextExample]) -> None:
        """Takes in answers."""
        raise NotImplementedError(f"{type(self).__name__} has no update_texts(self, examples)")
