"""Puts a plugin's classes in front of the host: the classes that componentize-py looks for, made from the author's.

Every exported function runs inside `guard`, so that an exception is an error and never a trap. Where the contract gives a
function no error (`describe`, `wants`, `reset`), it is called inside of one that has, and its answer or failure is kept.
Outside of a component `export` only checks the classes, so that pytest finds the same mistakes.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

from retune_sdk import backend, config
from retune_sdk.errors import told
from retune_sdk.loss import Loss
from retune_sdk.metric import Metric, TensorMetric, TextMetric
from retune_sdk.policy import Policy
from retune_sdk.preprocessor import Preprocessor

if backend.INSIDE:
    from componentize_py_types import Err

_ROLES: dict[str, type] = {
    "preprocessor": Preprocessor,
    "loss": Loss,
    "policy": Policy,
    "tensor-metric": TensorMetric,
    "text-metric": TextMetric,
}
exported: list[type] = []
"""The classes of the last `export`, for the build command."""


def export(*classes: type) -> None:
    """Makes these classes the plugin. Call it once, at the end of the module that is built.

    Args:
        classes: one class, or one for each role. They share one `Config`.
    """
    if not classes:
        raise TypeError("export() needs a class: export(MyLoss)")
    for made in classes:
        if not any(issubclass(made, base) for base in _ROLES.values()):
            raise TypeError(
                f"{made.__name__} has no role; make it a subclass of Preprocessor, Loss, Policy, TensorMetric or TextMetric"
            )
    settings = {made.Config for made in classes if made.Config is not None}  # type: ignore[attr-defined]
    if len(settings) > 1:
        names = ", ".join(sorted(each.__name__ for each in settings))
        raise TypeError(f"the classes of one plugin share one Config; these have {names}")
    for role in roles(classes):
        if role != "checkpoint" and sum(issubclass(made, _ROLES[role]) for made in classes) > 1:
            raise TypeError(f"two of the classes have the role {role}; a plugin plays each role once")
    schema = json.dumps(config.schema(next(iter(settings), None)))
    exported[:] = classes
    if backend.INSIDE:
        from retune_sdk import adapters

        module = sys._getframe(1).f_globals
        module.update(adapters.build(classes, schema, roles(classes)))


def roles(classes: tuple[type, ...] | list[type]) -> list[str]:
    """What these classes play: names of interfaces of the contract, `checkpoint` among them."""
    found = [role for role, base in _ROLES.items() if any(issubclass(made, base) for made in classes)]
    return found + ["checkpoint"] if any(remembers(made) for made in classes) else found


def remembers(made: type) -> bool:
    """Whether a loss or a policy has state that goes into checkpoints. Raises when it has but half of what that takes."""
    if not issubclass(made, (Loss, Policy)):
        return False
    has = [callable(getattr(made, name, None)) for name in ("save", "load")]
    if any(has) and not all(has):
        raise TypeError(f"{made.__name__} has one of save(self) and load(self, state); state needs both")
    return all(has)


def guard(function: Callable[..., Any]) -> Callable[..., Any]:
    """An exception of `function` as the contract's error."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Err:
            raise
        except Exception as error:  # noqa: BLE001, whatever the author's code raises
            kind, message, context = told(error)
        types = backend.types
        raise Err(types.Error(types.ErrorKind[kind.upper()], message, context))

    return call


__all__ = ["Metric", "export", "exported", "guard", "remembers", "roles"]
