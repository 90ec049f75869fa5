"""The element types and the errors of the contract."""

from dataclasses import dataclass
from enum import Enum


class Dtype(Enum):
    """The type of a tensor's elements."""

    FLOAT32 = 0
    FLOAT16 = 1
    BFLOAT16 = 2
    FLOAT64 = 3
    INT64 = 4
    INT32 = 5
    UINT8 = 6
    BOOLEAN = 7


class ErrorKind(Enum):
    """The class of a failure."""

    CONFIG = 0
    INPUT = 1
    UNSUPPORTED = 2
    INTERNAL = 3


@dataclass
class Error:
    """Why there is no result."""

    kind: ErrorKind
    message: str
    context: list[str]
