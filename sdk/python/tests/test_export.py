"""What `export` accepts, what the build makes a world of, and how exceptions are told."""

from pathlib import Path

import pytest

import retune_sdk
from retune_sdk import InputError, Loss, Policy, TensorMetric, TextMetric, export
from retune_sdk.build import world
from retune_sdk.errors import told
from retune_sdk.export import roles


class Remembers(Policy):
    def save(self):
        return b""

    def load(self, state):
        pass


class Both(TensorMetric, TextMetric):
    pass


def test_roles_are_those_of_the_classes():
    assert roles([Remembers]) == ["policy", "checkpoint"]
    assert roles([Both]) == ["tensor-metric", "text-metric"]


def test_the_world_exports_what_the_roles_take():
    assert "export policy;\n    export checkpoint;" in world(roles([Remembers]))
    assert {"import tokenizer;", "import tensor;", "export metric;"} <= {
        line.strip() for line in world(roles([Both])).split("\n")
    }


def test_half_of_a_state_and_a_class_without_a_role_are_refused():
    class Half(Loss):
        def save(self):
            return b""

    with pytest.raises(TypeError, match="state needs both"):
        export(Half)
    with pytest.raises(TypeError, match="int has no role"):
        export(int)


def test_an_exception_is_told_with_its_class_and_the_authors_frames():
    with pytest.raises(ValueError) as caught:
        raise ValueError("gamma is a colour")
    kind, message, context = told(caught.value)
    assert (kind, message) == ("internal", "ValueError: gamma is a colour")
    assert "test_export.py:" in context[-1] and context[-1].endswith(
        " in test_an_exception_is_told_with_its_class_and_the_authors_frames"
    )
    assert told(InputError("no text"))[:2] == ("input", "no text")


def test_the_contract_in_the_package_is_that_of_the_repository():
    own, there = Path(retune_sdk.__file__).parent / "wit", Path(__file__).parents[3] / "wit"
    contract = {path.name: path.read_text() for path in there.glob("*.wit")}
    assert {"types.wit", "tensor.wit", "worlds.wit"} <= contract.keys()
    assert {path.name: path.read_text() for path in own.glob("*.wit")} == contract
