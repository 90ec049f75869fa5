"""Where tensors, log lines and tokens come from: the host inside of a component, `retune_sdk.mock` outside.

Both sides have the same functions under the same names, those of the bindings that componentize-py generates; a world
without tensors has none of their modules. Everything is imported when this module is, because the component is a snapshot of that moment.
"""

from __future__ import annotations

import importlib
from typing import Any

try:
    import wit_world as _world

    INSIDE = True
    """Whether this runs in a component."""
except ImportError:
    _world = None
    INSIDE = False


def host(name: str) -> Any:
    """The module of imported functions called `name`, or None in a component whose world does not have it."""
    try:
        return importlib.import_module(f"wit_world.imports.{name}" if INSIDE else f"retune_sdk.mock.{name}")
    except ModuleNotFoundError as missing:
        if INSIDE:
            return None
        if missing.name == "numpy":
            return None
        raise


def exported(name: str) -> Any:
    """The module of the types of an exported interface, or None where the world does not have it."""
    try:
        return importlib.import_module(f"wit_world.exports.{name}") if INSIDE else None
    except ModuleNotFoundError:
        return None


def lent(module: Any, what: str, world: str) -> Any:
    """`module`, or an error that says why it is not there."""
    from retune_sdk.errors import UnsupportedError

    if module is not None:
        return module
    if INSIDE:
        raise UnsupportedError(f"{what} are not lent to this role; {world} has them")
    raise ModuleNotFoundError(f"{what} outside of a component are NumPy arrays: pip install 'retune-sdk[test]'")


types: Any = host("types")
tensor: Any = host("tensor")
fused: Any = host("fused")
batch: Any = host("batch")
logging: Any = host("logging")
tokenizer: Any = host("tokenizer")
