"""The classes that componentize-py looks for, one for each exported interface. Imported in a component only.

The instance of the component is the object: `_Instance` holds the author's objects and what they promised in `init`.
A tensor that is handed to the host changes its owner, so one that is handed over twice is detached first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from retune_sdk import backend, config, preprocessor
from retune_sdk import policy as policies
from retune_sdk.batch import Batch, specs
from retune_sdk.errors import PluginError
from retune_sdk.export import guard, remembers
from retune_sdk.loss import Loss, Progress
from retune_sdk.metric import Metric, TensorMetric, TextExample, TextMetric
from retune_sdk.policy import Policy
from retune_sdk.preprocessor import Preprocessor
from retune_sdk.tensor import Tensor

_rows: Any = backend.exported("preprocessor")
_loss: Any = backend.exported("loss")
_policy: Any = backend.exported("policy")
_metric: Any = backend.exported("metric")


class _Instance:
    """The author's objects, by role, and what they said of themselves."""

    def __init__(self) -> None:
        self.made: dict[type, Any] = {}
        self.contracts: dict[str, Any] = {}
        self.failed: Exception | None = None

    def of(self, base: type) -> Any:
        return next(each for made, each in self.made.items() if issubclass(made, base))


def build(classes: tuple[type, ...], schema: str, roles: list[str]) -> dict[str, type]:
    """Names to classes, for the author's module."""
    it = _Instance()

    class Plugin:
        def config_schema(self) -> str:
            return schema

        @guard
        def init(self, settings: Any) -> None:
            given = json.loads(settings.config)
            for made in classes:
                read = config.read(made.Config, given) if made.Config is not None else None  # type: ignore[attr-defined]
                it.made[made] = made(read, settings.seed)
            for each in it.made.values():
                _promises(it, each)

    found: dict[str, type] = {"Plugin": Plugin}
    if "preprocessor" in roles:
        found["Preprocessor"] = _preprocessor(it)
    if "loss" in roles:
        found["Loss"] = _a_loss(it)
    if "policy" in roles:
        found["Policy"] = _a_policy(it)
    if "tensor-metric" in roles or "text-metric" in roles:
        found["Metric"] = _a_metric(it)
    if "tensor-metric" in roles:
        found["TensorMetric"] = _tensors(it)
    if "text-metric" in roles:
        found["TextMetric"] = _texts(it)
    if "checkpoint" in roles:
        found["Checkpoint"] = _checkpoint(it, classes)
    return found


def _promises(it: _Instance, each: Any) -> None:
    """Asks for what the contract's `describe` and `wants` will answer, here where an exception has a way out."""
    if isinstance(each, Preprocessor):
        says = each.describe()
        it.contracts["rows"] = _rows.Contract(list(says.reads), list(says.writes), says.stateful, says.cacheable)
    if isinstance(each, (Loss, TensorMetric)):
        wanted = [backend.batch.InputSpec(want.name, want.optional) for want in specs(each.wants())]
        it.contracts["loss" if isinstance(each, Loss) else "metric"] = wanted
    if isinstance(each, Policy):
        asked = each.describe()
        it.contracts["policy"] = _policy.Contract(
            asked.every_epoch, asked.every_steps, asked.after_evaluation, asked.stats
        )
    if isinstance(each, Metric):
        specs_of = [_metric.ValueSpec(spec.name, spec.unit, spec.higher_is_better) for spec in each.describe()]
        it.contracts["values"] = specs_of


def _progress(at: Any) -> Progress:
    return Progress(at.epoch, at.step, at.total_steps)


def _preprocessor(it: _Instance) -> type:
    wrap = {
        type(None): lambda _: _rows.Value_Null(),
        bool: _rows.Value_Boolean,
        int: _rows.Value_Integer,
        float: _rows.Value_Number,
        str: _rows.Value_Text,
        bytes: _rows.Value_Bytes,
        preprocessor.Ids: _rows.Value_Ids,
        preprocessor.Numbers: _rows.Value_Numbers,
        preprocessor.Json: lambda text: _rows.Value_Json(str(text)),
    }
    unwrap = {
        _rows.Value_Ids: preprocessor.Ids,
        _rows.Value_Numbers: preprocessor.Numbers,
        _rows.Value_Json: preprocessor.Json,
    }

    def value(raw: Any) -> Any:
        kind = type(raw)
        if kind is _rows.Value_Null:
            return None
        special = unwrap.get(kind)
        return raw.value if special is None else special(raw.value)

    def fields(row: dict[str, Any]) -> list[tuple[str, Any]]:
        out = []
        for name, each in row.items():
            as_value = wrap.get(type(each))
            if as_value is None:
                raise TypeError(
                    f"field `{name}` is of type {type(each).__name__}; a value is None, bool, int, float, str, bytes, "
                    "Ids, Numbers or Json"
                )
            out.append((name, as_value(each)))
        return out

    class Exported:
        def describe(self) -> Any:
            return it.contracts["rows"]

        @guard
        def process(self, batch: list[Any]) -> Any:
            rows = [preprocessor.Sample(s.key, s.seed, {n: value(v) for n, v in s.fields}) for s in batch]
            outputs = [_rows.Output(source, fields(row)) for source, row in it.of(Preprocessor).process(rows)]
            rejected = [_rows.Rejection(i, row.reason) for i, row in enumerate(rows) if row.reason is not None]
            return _rows.BatchResult(outputs, rejected)

        @guard
        def finish(self) -> list[Any]:
            return [_rows.Output(0, fields(row)) for row in it.of(Preprocessor).finish()]

    return Exported


def _a_loss(it: _Instance) -> type:
    class Exported:
        def wants(self) -> Any:
            return it.contracts["loss"]

        @guard
        def compute(self, raw: Any, at: Any) -> Any:
            batch = Batch(raw)
            try:
                output = it.of(Loss).compute(batch, _progress(at))
                given: set[int] = set()
                numerator = _own(output.numerator, given)
                denominator = _own(output.denominator, given)
                reported = [(name, _own(a, given), _own(b, given)) for name, (a, b) in output.reported.items()]
                return _loss.Output(numerator, denominator, reported)
            finally:
                batch.close()

    return Exported


def _own(tensor: Any, given: set[int]) -> Any:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"a loss gives tensors of shape [], this is of type {type(tensor).__name__}")
    if id(tensor.raw) in given:
        return tensor.raw.detach()
    given.add(id(tensor.raw))
    return tensor.raw


def _a_policy(it: _Instance) -> type:
    names = {"Trigger_Start": "start", "Trigger_Epoch": "epoch", "Trigger_Steps": "steps"}

    def event(raw: Any) -> policies.Event:
        kind = names.get(type(raw.trigger).__name__, "evaluation")
        values = dict(raw.trigger.value) if kind == "evaluation" else {}
        stats = [
            policies.LayerStats(each.name, each.trainable, each.grad_norm, each.weight_norm, each.update_ratio)
            for each in raw.layers
        ]
        return policies.Event(kind, _progress(raw.at), raw.train_loss, stats, values)  # type: ignore[arg-type]

    def action(change: policies.Change) -> Any:
        if change.action == "freeze":
            return _policy.Action_Freeze()
        if change.action == "unfreeze":
            return _policy.Action_Unfreeze()
        if change.action == "lr_scale":
            return _policy.Action_LrScale(change.value)
        if change.action == "weight_decay":
            return _policy.Action_WeightDecay(change.value)
        scheme, std = change.value
        if scheme == "normal":
            return _policy.Action_Reinit(_policy.InitScheme_Normal(std))
        return _policy.Action_Reinit(getattr(_policy, "InitScheme_" + scheme.title().replace("_", ""))())

    class Exported:
        def describe(self) -> Any:
            return it.contracts["policy"]

        @guard
        def attach(self, layers: list[Any]) -> None:
            found = [policies.Layer(x.name, x.depth, x.kind, x.parameters, x.trainable) for x in layers]
            it.of(Policy).attach(found)

        @guard
        def decide(self, raw: Any) -> list[Any]:
            changes: Iterable[policies.Change] = it.of(Policy).decide(event(raw)) or ()
            return [_policy.Change(each.layers, action(each), each.reason) for each in changes]

    return Exported


def _a_metric(it: _Instance) -> type:
    class Exported:
        def describe(self) -> Any:
            return it.contracts["values"]

        @guard
        def snapshot(self) -> bytes:
            _raise_kept(it)
            return it.of(Metric).snapshot()

        @guard
        def merge(self, snapshot: bytes) -> None:
            _raise_kept(it)
            it.of(Metric).absorb(snapshot)

        @guard
        def compute(self) -> list[tuple[str, float]]:
            _raise_kept(it)
            return [(name, value * 1.0) for name, value in it.of(Metric).compute().items()]

        def reset(self) -> None:
            try:
                it.of(Metric).reset()
                it.failed = None
            except Exception as error:  # noqa: BLE001, told by the next call that can fail
                it.failed = error

    return Exported


def _raise_kept(it: _Instance) -> None:
    if it.failed is not None:
        raise it.failed


def _tensors(it: _Instance) -> type:
    class Exported:
        def wants(self) -> Any:
            return it.contracts["metric"]

        @guard
        def update(self, raw: Any) -> None:
            _raise_kept(it)
            batch = Batch(raw)
            try:
                it.of(TensorMetric).update(batch)
            finally:
                batch.close()

    return Exported


def _texts(it: _Instance) -> type:
    class Exported:
        @guard
        def update(self, batch: list[Any]) -> None:
            _raise_kept(it)
            examples = [TextExample(each.prompt, each.prediction, each.references, each.extra) for each in batch]
            it.of(TextMetric).update_texts(examples)

    return Exported


def _checkpoint(it: _Instance, classes: tuple[type, ...]) -> type:
    keepers = [made for made in classes if remembers(made)]

    class Exported:
        @guard
        def save(self) -> bytes:
            states = [it.made[made].save() for made in keepers]
            for made, state in zip(keepers, states, strict=True):
                if not isinstance(state, bytes):
                    raise TypeError(f"{made.__name__}.save gave {type(state).__name__}; a state is bytes")
            return states[0] if len(states) == 1 else json.dumps([state.hex() for state in states]).encode()

        @guard
        def load(self, state: bytes) -> None:
            if len(keepers) == 1:
                return it.made[keepers[0]].load(state)
            parts = json.loads(state)
            if len(parts) != len(keepers):
                raise PluginError(f"the checkpoint holds {len(parts)} states and this plugin has {len(keepers)}")
            for made, part in zip(keepers, parts, strict=True):
                it.made[made].load(bytes.fromhex(part))
            return None

    return Exported
