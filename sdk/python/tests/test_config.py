"""A dataclass becomes the schema that the host checks, and is read back from what the host fills in."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Literal

import pytest

from retune_sdk import Bounds, FromRecipe, config


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


@dataclass
class Inner:
    depth: int = 2


@dataclass
class Settings:
    columns: Annotated[list[str], FromRecipe("input-columns"), "Columns."]
    gamma: Annotated[float, Bounds(ge=0, lt=5), "How much."] = 2.0
    mode: Mode = Mode.FAST
    kind: Literal["a", "b"] = "a"
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)
    names: Annotated[list[str], Bounds(min_length=1)] = field(default_factory=lambda: ["x"])


def test_types_bounds_defaults_and_descriptions_are_in_the_schema():
    found = config.schema(Settings)
    assert found["additionalProperties"] is False and "required" not in found
    assert found["properties"] == {
        "columns": {
            "type": "array",
            "items": {"type": "string"},
            "x-from-recipe": "input-columns",
            "description": "Columns.",
        },
        "gamma": {"type": "number", "minimum": 0, "exclusiveMaximum": 5, "description": "How much.", "default": 2.0},
        "mode": {"enum": ["fast", "exact"], "default": "fast"},
        "kind": {"enum": ["a", "b"], "default": "a"},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "inner": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"depth": {"type": "integer", "default": 2}},
            "default": {"depth": 2},
        },
        "names": {"type": "array", "items": {"type": "string"}, "minItems": 1, "default": ["x"]},
    }


def test_without_settings_there_is_the_empty_schema():
    assert config.schema(None) == {"type": "object", "additionalProperties": False}


def test_values_become_what_the_annotations_say():
    read = config.read(Settings, {"columns": ["t"], "gamma": 3, "mode": "exact", "inner": {"depth": 7}, "limit": 1.0})
    assert read == Settings(["t"], 3.0, Mode.EXACT, limit=1, inner=Inner(7))
    assert type(read.gamma) is float and type(read.limit) is int


def test_what_has_no_default_is_required():
    @dataclass
    class Needs:
        path: str

    Needs.__module__ = __name__
    assert config.schema(Needs)["required"] == ["path"]


def test_a_type_without_a_json_form_is_named_with_its_field():
    @dataclass
    class Wrong:
        when: complex = 0j

    with pytest.raises(TypeError, match=r"Wrong\.when is of type <class 'complex'>"):
        config.schema(Wrong)
