"""Lines for the run's log."""

from __future__ import annotations

from retune_sdk import backend

_LEVELS = ("trace", "debug", "info", "warn", "error", "critical")


def log(message: str, level: str = "info", **fields: object) -> None:
    """Writes a line under the plugin's name; `fields` stay separate in the log.

    Args:
        message: what is to be read.
        level: `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    """
    if level not in _LEVELS:
        raise ValueError(f"level is `{level}`; it is one of {', '.join(_LEVELS)}")
    levels = backend.logging.Level
    backend.logging.log(getattr(levels, level.upper()), message, [(name, str(value)) for name, value in fields.items()])
