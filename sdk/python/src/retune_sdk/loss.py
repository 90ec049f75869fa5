"""A training objective: what is minimised.

`compute` composes tensors and gives two sums; the host differentiates and divides, once an optimiser step. Never take a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from retune_sdk.batch import Batch, InputSpec
from retune_sdk.tensor import Tensor


@dataclass(frozen=True)
class Progress:
    """Where in the run a call happens."""

    epoch: int = 0
    """Epochs completed; 0 during the first."""
    step: int = 0
    """Optimiser steps taken."""
    total_steps: int | None = None
    """Steps the run will take; None when nobody can know."""


@dataclass
class LossOutput:
    """The loss is `numerator / denominator`, both of shape `[]` and both sums."""

    numerator: Tensor
    denominator: Tensor
    """What to divide by: usually the number of items that have a label."""
    reported: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """More numbers for the log: name to sum and count."""


class Loss:
    """Subclass, say what `compute` wants, and give two sums.

    Attributes:
        Config: the dataclass of the settings, or None. An instance of it is passed to `__init__`.

    A loss that looks back on what it has seen defines `save(self) -> bytes` and `load(self, state: bytes)`.
    """

    Config: ClassVar[type | None] = None

    def __init__(self, config: Any = None, seed: int = 0) -> None:
        self.config = config
        self.seed = seed

    def wants(self) -> Sequence[str | InputSpec]:
        """The tensors `compute` will ask for; logits and labels unless it says otherwise."""
        return ["logits", "labels"]

    def compute(self, batch: Batch, at: Progress) -> LossOutput:
        """The loss of one micro-batch."""
        raise NotImplementedError(f"{type(self).__name__} has no compute(self, batch, at)")
