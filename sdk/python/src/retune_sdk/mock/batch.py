"""A batch of a test."""

from dataclasses import dataclass
from typing import Any


@dataclass
class InputSpec:
    """A tensor that is asked for."""

    name: str
    optional: bool


class Batch:
    """Tensors by name."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self._tensors = tensors

    def get(self, name: str) -> Any:
        return self._tensors.get(name)
