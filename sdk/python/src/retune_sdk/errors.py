"""What a plugin raises, and how any exception reaches the host.

An exception that leaves a call becomes the contract's `error`: its kind by its class, `ValueError: ...` as the message, the
author's frames as the context. Source lines are not looked up, because there are no files in the sandbox.
"""

from __future__ import annotations

import re
from types import TracebackType


class PluginError(Exception):
    """A failure that is told in the plugin's own words, without the name of the class before them."""

    kind = "internal"


class ConfigError(PluginError):
    """The settings fit their schema and still cannot be used: `alpha has 3 weights and the model 77 classes`."""

    kind = "config"


class InputError(PluginError):
    """The data is not what this plugin said it takes."""

    kind = "input"


class UnsupportedError(PluginError):
    """This host or this run lacks something: a tokenizer, a tensor, a chat template."""

    kind = "unsupported"


def told(error: BaseException) -> tuple[str, str, list[str]]:
    """The kind, the message and the context of the contract's `error` for an exception."""
    kind = error.kind if isinstance(error, PluginError) else "internal"
    message = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    return kind, message or type(error).__name__, frames(error.__traceback__)


def frames(at: TracebackType | None) -> list[str]:
    """`file:line in function` of each frame outside of this package, the outermost first."""
    found = []
    while at is not None:
        code = at.tb_frame.f_code
        if not str(at.tb_frame.f_globals.get("__name__", "")).startswith("retune_sdk."):
            # componentize-py mounts each folder of modules under its number: `/1/app.py`.
            file = re.sub(r"^/\d+/", "", code.co_filename)
            found.append(f"{file}:{at.tb_lineno} in {code.co_qualname}")
        at = at.tb_next
    return found[-32:]
