"""Rows in, rows out: one to one, to none, or to several, once before training.

A value is Python's own: None, bool, int, float, str, bytes; token ids are `Ids`, vectors `Numbers`, nested data `Json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from retune_sdk.errors import InputError

Fields = dict[str, Any]
"""A row: names to values, in column order."""


class Ids(list):
    """Token ids and whatever is shaped like them."""


class Numbers(list):
    """A vector of float32."""


class Json(str):
    """Nested data, as JSON text."""


@dataclass(frozen=True)
class RowContract:
    """What a preprocessor promises, under its settings."""

    reads: Sequence[str]
    """Fields it reads; a data set without them is refused before the run."""
    writes: Sequence[str] = ()
    """Fields every output has."""
    stateful: bool = False
    """Keeps something from batch to batch: one instance sees every row of a file in order, and `finish` is called."""
    cacheable: bool = True
    """Gives the same outputs for the same rows."""


@dataclass
class Sample:
    """A row on its way in."""

    key: str
    """Names the row in every report: `train.csv:17`."""
    seed: int
    """The only source of chance."""
    fields: Fields
    reason: str | None = field(default=None, repr=False)

    def text(self, name: str) -> str:
        """The text in the field called `name`; an `InputError` when it holds something else."""
        if name not in self.fields:
            raise InputError(
                f"{self.key} has no field `{name}`; it has {', '.join(f'`{each}`' for each in self.fields)}"
            )
        value = self.fields[name]
        if not isinstance(value, str):
            raise InputError(f"field `{name}` of {self.key} holds {type(value).__name__}, not text")
        return value

    def reject(self, reason: str) -> None:
        """Drops this row under a short code in lower case with dashes, which the data report counts: `too-long`."""
        self.reason = reason


class Preprocessor:
    """Subclass, say what is read in `describe`, and define `row` (or `process` for whole batches)."""

    Config: ClassVar[type | None] = None

    def __init__(self, config: Any = None, seed: int = 0) -> None:
        self.config = config
        self.seed = seed

    def describe(self) -> RowContract:
        """What it reads and writes."""
        raise NotImplementedError(f"{type(self).__name__} has no describe(self)")

    def row(self, sample: Sample) -> Fields | Iterable[Fields] | None:
        """The new row, several, or None to filter it out; `return sample.reject("too-long")` says why."""
        raise NotImplementedError(f"{type(self).__name__} has neither row(self, sample) nor process(self, batch)")

    def process(self, batch: Sequence[Sample]) -> list[tuple[int, Fields]]:
        """Outputs of a batch, each with the index of its source. Calls `row` for each unless it is overridden."""
        outputs: list[tuple[int, Fields]] = []
        for source, sample in enumerate(batch):
            made = self.row(sample)
            if made is None:
                continue
            if isinstance(made, dict):
                outputs.append((source, made))
            else:
                outputs.extend((source, each) for each in made)
        return outputs

    def finish(self) -> Iterable[Fields]:
        """After a file's last row, when `stateful`: rows that were held back."""
        return ()
