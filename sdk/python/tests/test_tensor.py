"""Operators and names do what they say, and mistakes raise where the host would end the run."""

import math

import pytest

from retune_sdk import Dtype, arange, cat, full, fused, stack, tensor


def test_operators_take_tensors_and_numbers_on_both_sides():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (x + 1).tolist() == (1 + x).tolist() == [[2, 3], [4, 5]]
    assert (1 - x).tolist() == [[0, -1], [-2, -3]]
    assert (x / 2).tolist() == [[0.5, 1], [1.5, 2]]
    assert (12 / x).tolist() == [[12, 6], [pytest.approx(4), 3]]
    assert (x**2).tolist() == [[1, 4], [9, 16]]
    assert (x @ x).tolist() == [[7, 10], [15, 22]]
    assert (-x).tolist() == [[-1, -2], [-3, -4]]


def test_comparisons_give_booleans():
    x = tensor([1, -100, 3])
    assert (x != -100).tolist() == [True, False, True]
    assert ((x >= 1) & ~(x > 2)).tolist() == [True, False, False]
    assert (x <= tensor([0, 0, 3])).tolist() == [False, True, True]


def test_indexing_is_numpys():
    x = arange(0, 24).reshape(2, 3, 4)
    assert x[1, -1].tolist() == [20, 21, 22, 23]
    assert x[:, 1:, ::2].tolist() == [[[4, 6], [8, 10]], [[16, 18], [20, 22]]]
    assert x[..., 0].tolist() == [[0, 4, 8], [12, 16, 20]]
    assert x[None, 0].shape == (1, 3, 4)
    assert x[0, tensor([2, 0])].tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    with pytest.raises(IndexError, match="index 5 is outside of dimension 0"):
        x[5]


def test_types_meet_as_the_contract_says():
    assert (tensor([1]) + tensor([1.0])).dtype is Dtype.FLOAT32
    assert tensor([1, 2]).sum().dtype is Dtype.INT64
    assert (tensor([7, -7]) / tensor([2, 2])).tolist() == [3, -3]
    assert (tensor([1, 2]) * 2.9).tolist() == [2, 4]
    assert tensor([-1.9]).long().tolist() == [-1]


def test_reductions_take_dim_and_keepdim():
    x = tensor([[1.0, 2.0], [3.0, 5.0]])
    assert x.sum().item() == 11 and x.sum(dim=0).tolist() == [4, 7]
    assert x.mean(dim=-1, keepdim=True).tolist() == [[1.5], [4]]
    assert x.var(dim=1).tolist() == [0.25, 1]
    assert x.logsumexp(dim=(0, 1)).item() == pytest.approx(math.log(sum(math.exp(v) for v in (1, 2, 3, 5))))
    assert x.topk(1)[1].tolist() == [[1], [1]]


def test_joining_and_making():
    assert cat([tensor([1]), tensor([2])]).tolist() == [1, 2]
    assert stack([tensor([1]), tensor([2])], dim=1).tolist() == [[1, 2]]
    assert full([2], 1, Dtype.BOOLEAN).tolist() == [True, True]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: tensor([1.0, 2.0]) + tensor([1.0, 2.0, 3.0]), "do not broadcast"),
        (lambda: (tensor([1]) == 1) + 1, "booleans take part in logic"),
        (lambda: tensor([1, 2]).mean(), "cast first"),
        (lambda: tensor([[0.0, 1.0]]).gather(-1, tensor([[-100]])), "are outside of the 2 entries"),
        (lambda: fused.token_log_probs(tensor([[0.0, 1.0]]), tensor([2])), "label 2 is outside of the 2 classes"),
    ],
)
def test_what_ends_a_run_raises_here(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_fused_operations_are_what_their_comments_say():
    logits, labels = tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]), tensor([1, -100])
    chosen = fused.token_log_probs(logits, labels).tolist()
    assert chosen == pytest.approx([logits.log_softmax(-1)[0, 1].item(), 0.0])
    p = logits.softmax(-1)
    assert fused.entropy(logits).tolist() == pytest.approx((-(p * p.log()).sum(dim=-1)).tolist(), abs=1e-6)
    assert fused.kl_div(logits, logits).tolist() == pytest.approx([0, 0], abs=1e-6)
