"""Which layers learn, and how fast.

A policy is asked at the start and at the events its contract names, and answers with changes. At the start it answers with
all that holds. What it looks back on goes through `save` and `load`, so that a resumed run decides as one that was not killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from retune_sdk.loss import Progress


@dataclass(frozen=True)
class Layer:
    """A named group of parameters. A block of a transformer is several layers of one depth."""

    name: str
    depth: int
    """Distance from the input: embeddings are 0, the head is deepest."""
    kind: str
    """`embedding`, `attention`, `mlp`, `norm`, `head`, `adapter` or `other`."""
    parameters: int = 0
    trainable: bool = True


@dataclass(frozen=True)
class LayerStats:
    """How a layer is doing."""

    name: str
    trainable: bool
    grad_norm: float | None
    """Mean over the steps since the last call; None when frozen."""
    weight_norm: float
    update_ratio: float | None
    """Norm of the last update over the norm of the weights; None when frozen."""


@dataclass(frozen=True)
class PolicyContract:
    """When to ask, besides at the start."""

    every_epoch: bool = False
    every_steps: int | None = None
    after_evaluation: bool = False
    stats: bool = False
    """Fill `event.layers`; costs one synchronisation with the device a call."""


@dataclass(frozen=True)
class Event:
    """Why a policy is asked, and what it is told."""

    trigger: Literal["start", "epoch", "steps", "evaluation"]
    at: Progress = field(default_factory=Progress)
    train_loss: float | None = None
    """Exponentially smoothed; None before the first step."""
    layers: Sequence[LayerStats] = ()
    evaluation: Mapping[str, float] = field(default_factory=dict)
    """`loss` and every value of every metric, after an evaluation."""


@dataclass(frozen=True)
class Change:
    """What is to change: made by `freeze`, `unfreeze`, `lr_scale`, `weight_decay` and `reinit`."""

    layers: str
    """A glob over layer names: `*` within a segment, `**` any number of segments, `{0..3}` a range."""
    action: str
    reason: str
    value: Any = None


def freeze(layers: str, reason: str) -> Change:
    """No gradient, no optimiser state, no weight decay."""
    return Change(layers, "freeze", reason)


def unfreeze(layers: str, reason: str) -> Change:
    """Learn; a layer that was frozen starts with fresh optimiser state."""
    return Change(layers, "unfreeze", reason)


def lr_scale(layers: str, factor: float, reason: str) -> Change:
    """Multiplies the scheduled learning rate; replaces an earlier factor. From 0 to 10,000."""
    return Change(layers, "lr_scale", reason, float(factor))


def weight_decay(layers: str, value: float, reason: str) -> Change:
    """Replaces the weight decay. From 0 to 1,000."""
    return Change(layers, "weight_decay", reason, float(value))


def reinit(
    layers: str,
    reason: str,
    scheme: Literal["zeros", "normal", "kaiming_uniform", "xavier_uniform", "pretrained"] = "normal",
    std: float = 0.02,
) -> Change:
    """New weights, and fresh optimiser state; `std` is that of `normal`."""
    return Change(layers, "reinit", reason, (scheme, float(std)))


class Policy:
    """Subclass, say in `describe` when to be asked, and answer in `decide`."""

    Config: ClassVar[type | None] = None

    def __init__(self, config: Any = None, seed: int = 0) -> None:
        self.config = config
        self.seed = seed
        self.layers: Sequence[Layer] = ()

    def describe(self) -> PolicyContract:
        """When to ask."""
        raise NotImplementedError(f"{type(self).__name__} has no describe(self)")

    def attach(self, layers: Sequence[Layer]) -> None:
        """The layers of the model in depth order; once, before the first event. Kept as `self.layers`."""
        self.layers = layers

    def decide(self, event: Event) -> Iterable[Change]:
        """What is to change. Nothing is the usual answer. Changes apply in order, later ones win."""
        raise NotImplementedError(f"{type(self).__name__} has no decide(self, event)")
