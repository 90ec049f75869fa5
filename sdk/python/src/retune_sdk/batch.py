"""The tensors of one micro-batch, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from retune_sdk.errors import InputError
from retune_sdk.tensor import Tensor


@dataclass(frozen=True)
class InputSpec:
    """A tensor that a loss or a metric asks for. The host refuses a run that cannot supply a required one."""

    name: str
    """`logits`, `labels`, `weights`, `pooled`, `hidden`, `predictions`, `targets` or `column.<name>`."""
    optional: bool = False
    """When true and the run has none, `batch.get` gives None."""


class Batch:
    """What one call is lent. Keep nothing of it beyond the call."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def get(self, name: str) -> Tensor | None:
        """The tensor called `name`, or None where the run has none. Copies nothing."""
        raw = self._raw.get(name)
        return None if raw is None else Tensor(raw)

    def __getitem__(self, name: str) -> Tensor:
        found = self.get(name)
        if found is None:
            raise InputError(f"the batch has no `{name}`; name it in `wants`, and see which task supplies it")
        return found

    def close(self) -> None:
        """Gives the batch back. The SDK does this when a call ends."""
        leave = getattr(self._raw, "__exit__", None)
        if leave is not None:
            leave(None, None, None)


def specs(wants: Iterable[str | InputSpec]) -> list[InputSpec]:
    """Names as required inputs."""
    return [InputSpec(want) if isinstance(want, str) else want for want in wants]
