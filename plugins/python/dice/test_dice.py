"""Closed forms: the loss of a row whose probability is known."""

import math

import pytest
from retune_sdk import Progress
from retune_sdk.testing import batch, make

from dice import Dice


def loss(logits, labels, **settings):
    return make(Dice, **settings).compute(batch(logits=logits, labels=labels), Progress())


def test_it_is_the_formula():
    output = loss([[math.log(4), 0.0]], [0], alpha=2.0, smooth=0.5)  # p = 0.8, w = 0.04
    assert output.numerator.item() == pytest.approx(1 - (2 * 0.032 + 0.5) / (0.032 + 1.5), abs=1e-6)
    assert output.reported["cross_entropy"][0].item() == pytest.approx(-math.log(0.8), abs=1e-6)


def test_without_weights_it_is_the_plain_dice_loss():
    assert loss([[0.0, 0.0]], [1], alpha=0.0, smooth=1.0).numerator.item() == pytest.approx(1 - 2 / 2.5, abs=1e-6)


def test_what_has_no_label_counts_for_nothing():
    both, one = loss([[1.0, 0.0], [9.0, 3.0]], [1, -100]), loss([[1.0, 0.0]], [1])
    assert both.numerator.item() == one.numerator.item()
    assert both.denominator.item() == 1


def test_two_halves_give_the_whole():
    rows, labels = [[1.0, 0.0], [-2.0, 3.0]], [1, 0]
    halves = sum(loss([row], [label]).numerator.item() for row, label in zip(rows, labels, strict=True))
    assert loss(rows, labels).numerator.item() == pytest.approx(halves, abs=1e-6)


def test_tokens_are_rows():
    output = loss([[[1.0, 0.0], [0.0, 2.0]]], [[0, 1]])
    assert output.denominator.item() == 2 and output.numerator.shape == ()


def test_extreme_logits_give_a_number():
    assert math.isfinite(loss([[1e4, -1e4], [-1e4, 1e4]], [0, 0], alpha=0.5).numerator.item())
