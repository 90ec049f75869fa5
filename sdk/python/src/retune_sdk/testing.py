"""What a plugin's tests need: batches, rows, and the laws of a metric. Needs NumPy; not there in a component."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from retune_sdk import config
from retune_sdk.batch import Batch
from retune_sdk.metric import Metric, TensorMetric, TextMetric
from retune_sdk.mock import batch as _batch
from retune_sdk.mock import logging as _logging
from retune_sdk.mock import tensor as _tensor
from retune_sdk.mock import tokenizer as _tokenizer
from retune_sdk.preprocessor import Preprocessor, Sample


def batch(**tensors: Any) -> Batch:
    """A batch of arrays or nested lists: floats become float32, whole numbers int64; float64 arrays stay.

    >>> batch(logits=[[2.0, 0.0], [0.0, 1.0]], labels=[0, 1])["labels"].shape
    (2,)
    """
    found = {}
    for name, data in tensors.items():
        array = np.asarray(data)
        if array.dtype.kind == "f" and not isinstance(data, np.ndarray):
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        found[name] = _tensor.Tensor(array)
    return Batch(_batch.Batch(found))


def make(plugin: type, seed: int = 0, **settings: Any) -> Any:
    """An instance as the host makes it: settings read through the schema's form, defaults filled in."""
    kind = plugin.Config  # type: ignore[attr-defined]
    return plugin(None if kind is None else config.read(kind, settings), seed)


def texts(field: str, rows: Sequence[str]) -> list[Sample]:
    """Samples with one text field each, keyed `test:1`, `test:2`, and so on."""
    return [Sample(f"test:{i + 1}", i, {field: text}) for i, text in enumerate(rows)]


def run_rows(
    preprocessor: Preprocessor, rows: Sequence[Sample], size: int = 64
) -> list[list[dict[str, Any]] | str | None]:
    """What became of each row in batches of `size`: its new versions, the reason it was dropped, or None (filtered)."""
    fates: list[list[dict[str, Any]] | str | None] = []
    for start in range(0, len(rows), size):
        chunk = [Sample(row.key, row.seed, dict(row.fields)) for row in rows[start : start + size]]
        own: list[Any] = [None] * len(chunk)
        for source, fields in preprocessor.process(chunk):
            own[source] = [*(own[source] or []), fields]
        for i, row in enumerate(chunk):
            if row.reason is not None:
                assert own[i] is None, f"{row.key} is both kept and rejected"
                own[i] = row.reason
        fates += own
    return fates


def check_metric_laws(metric: Metric, parts: Sequence[Sequence[Any]]) -> None:
    """Asserts that merging parts gives what one pass gives, in any order and grouping, and that nothing is its unit.

    Args:
        metric: an instance; its state is reset.
        parts: three lists of batches, or of text examples for a metric of texts.
    """
    shots = [_seen(metric, part) for part in parts]
    whole = _seen(metric, [each for part in parts for each in part])
    a, b, c = shots
    empty = _seen(metric, [])
    laws = {
        "merging into the empty state gives the state": ([a], [a, empty]),
        "merge is commutative": ([a, b], [b, a]),
        "merge is associative": ([_fold(metric, [a, b]), c], [a, _fold(metric, [b, c])]),
        "parts merge to what one pass gives": ([a, b, c], [whole]),
    }
    for law, (left, right) in laws.items():
        one, other = (_values(metric, _fold(metric, side)) for side in (left, right))
        assert one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one), (
            f"{law}: {one}, {other}"
        )


def _seen(metric: Metric, part: Sequence[Any]) -> bytes:
    metric.reset()
    for each in part:
        if isinstance(metric, TensorMetric):
            metric.update(each)
        elif isinstance(metric, TextMetric):
            metric.update_texts([each])
    return metric.snapshot()


def _fold(metric: Metric, snapshots: Sequence[bytes]) -> bytes:
    metric.reset()
    for each in snapshots:
        metric.absorb(each)
    return metric.snapshot()


def _values(metric: Metric, snapshot: bytes) -> dict[str, float]:
    _fold(metric, [snapshot])
    return dict(metric.compute())


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))


def use_words(words: Sequence[str]) -> None:
    """Gives the plugin under test a tokenizer for which each of these words is a token, and any other `<unk>`."""
    _tokenizer.words[:] = words


def logs() -> list[tuple[str, str]]:
    """The log lines written since the last call: level and message."""
    lines = [(level.name.lower(), message) for level, message, _ in _logging.lines]
    _logging.lines.clear()
    return lines
