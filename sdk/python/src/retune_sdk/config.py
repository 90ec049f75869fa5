"""Settings: a dataclass becomes a JSON Schema, and the recipe's `config` becomes an instance of it.

A field's type, default and `Annotated` give its property: a text in `Annotated` is its description, `Bounds` its limits,
`FromRecipe` says that the recipe fills it in. Types: bool, int, float, str, `Literal`, `Enum`, `list[T]`, `T | None`, other
dataclasses. The schema is made when the plugin is built, so that a type without a JSON form is an error there.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

_EMPTY: dict[str, Any] = {"type": "object", "additionalProperties": False}


@dataclass(frozen=True)
class Bounds:
    """Limits of a number, or of the length of a text or list (`min_length`, `max_length`)."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class FromRecipe:
    """Filled in from the recipe where `config` leaves it out: the columns the model reads (a list), or the label's (a text)."""

    what: Literal["input-columns", "label-column"]


def schema(config: type | None) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a dataclass; of None, that of a plugin without settings."""
    if config is None:
        return dict(_EMPTY)
    if not dataclasses.is_dataclass(config):
        raise TypeError(f"{config.__name__} is not a dataclass: put @dataclass above it")
    hints = typing.get_type_hints(config, include_extras=True)
    properties, required = {}, []
    for field in dataclasses.fields(config):
        where = f"{config.__name__}.{field.name}"
        found = _of(hints[field.name], where)
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is not dataclasses.MISSING:
            found["default"] = _plain(default)
        elif "x-from-recipe" not in found:
            required.append(field.name)
        properties[field.name] = found
    whole: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    own = (config.__doc__ or "").strip()
    if own and not own.startswith(f"{config.__name__}("):
        whole["description"] = " ".join(own.split())
    if required:
        whole["required"] = required
    return whole


def read(config: Any, value: Any) -> Any:
    """`value`, which the host has found valid against the schema, as an instance of `config`."""
    if config is Any or value is None:
        return value
    origin, arguments = typing.get_origin(config), typing.get_args(config)
    if origin is typing.Annotated:
        return read(arguments[0], value)
    if origin in (typing.Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        return read(inner[0], value) if len(inner) == 1 else value
    if origin is list:
        return [read(arguments[0], each) for each in value]
    if dataclasses.is_dataclass(config):
        hints = typing.get_type_hints(config, include_extras=True)
        return config(**{name: read(hints[name], each) for name, each in value.items()})
    if isinstance(config, type) and issubclass(config, enum.Enum):
        return config(value)
    if config is float and isinstance(value, int):
        return float(value)
    if config is int and isinstance(value, float):
        return int(value)
    return value


def _of(hint: Any, where: str) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        found = _of(arguments[0], where)
        for extra in arguments[1:]:
            if isinstance(extra, str):
                found["description"] = extra
            elif isinstance(extra, FromRecipe):
                found["x-from-recipe"] = extra.what
            elif isinstance(extra, Bounds):
                found.update(_limits(extra, found.get("type")))
        return found
    if origin in (typing.Union, types.UnionType):
        options = [_of(argument, where) for argument in arguments if argument is not type(None)]
        nothing = [{"type": "null"}] if type(None) in arguments else []
        return {"anyOf": options + nothing}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _of(arguments[0], where)}
    if dataclasses.is_dataclass(hint):
        return schema(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    if hint in names:
        return {"type": names[hint]}
    raise TypeError(
        f"{where} is of type {hint}, which has no JSON form here; use bool, int, float, str, Literal, Enum, list[T], "
        "T | None or a dataclass"
    )


def _limits(bounds: Bounds, kind: str | None) -> dict[str, Any]:
    items = "Items" if kind == "array" else "Length"
    names = {
        "minimum": bounds.ge,
        "exclusiveMinimum": bounds.gt,
        "maximum": bounds.le,
        "exclusiveMaximum": bounds.lt,
        f"min{items}": bounds.min_length,
        f"max{items}": bounds.max_length,
        "pattern": bounds.pattern,
    }
    return {name: value for name, value in names.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
