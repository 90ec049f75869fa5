"""Held to a few rows by hand, and to a plain NumPy account of the definition."""

import math

import numpy as np
import pytest
from calibration_error import CalibrationError
from retune_sdk.testing import batch, check_metric_laws, make


def values(*batches, **settings):
    metric = make(CalibrationError, **settings)
    for each in batches:
        metric.update(each)
    return metric.compute()


def random_batch(seed, rows=50, classes=4):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    labels[::7] = -100
    return batch(logits=random.normal(0, 2, (rows, classes)).astype(np.float32), labels=labels)


def test_one_row_that_is_right_with_confidence_80_misses_by_20():
    found = values(batch(logits=[[math.log(4), 0.0]], labels=[0]))
    assert found == pytest.approx({"ece": 0.2, "mce": 0.2, "overconfidence": -0.2}, abs=1e-6)


def test_it_is_what_the_definition_says():
    one = random_batch(1)
    logits, labels = np.array(one["logits"].tolist()), np.array(one["labels"].tolist())
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    kept = labels >= 0
    confidence, right = p.max(-1)[kept], (p.argmax(-1) == labels)[kept]
    at = np.minimum((confidence * 10).astype(int), 9)
    ece = sum(abs(confidence[at == b].mean() - right[at == b].mean()) * (at == b).mean() for b in set(at))
    assert values(one, bins=10)["ece"] == pytest.approx(ece, abs=1e-5)


def test_without_a_label_it_is_undefined():
    assert math.isnan(values(batch(logits=[[1.0, 0.0]], labels=[-100]))["ece"])


def test_the_laws_of_a_metric_hold():
    check_metric_laws(make(CalibrationError), [[random_batch(i), random_batch(i + 10)] for i in range(3)])
