"""Log lines, kept for the test that reads them."""

from enum import Enum


class Level(Enum):
    """The levels of `wasi:logging`."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    CRITICAL = 5


lines: list[tuple[Level, str, list[tuple[str, str]]]] = []


def log(level: Level, message: str, fields: list[tuple[str, str]]) -> None:
    """Keeps a line."""
    lines.append((level, message, fields))
