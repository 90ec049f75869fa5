"""What learns when, and that a resumed policy decides as one that was not killed."""

from collections import Counter

import pytest
from retune_sdk import ConfigError, Event, Layer
from retune_sdk.testing import make

from lisa import Lisa

LAYERS = [
    Layer("embeddings", 0, "embedding"),
    *(Layer(f"layer.{i}.{part}", i + 1, part) for i in range(5) for part in ("attention", "mlp")),
    Layer("norm", 6, "norm"),
    Layer("head", 7, "head"),
]
START, STEPS = Event("start"), Event("steps")


def policy(seed=1, **settings):
    made = make(Lisa, seed, **settings)
    made.attach(LAYERS)
    return made


def learning(changes):
    return {change.layers for change in changes if change.action == "unfreeze"}


def test_as_many_blocks_learn_as_asked_for_and_the_rest_is_left_alone():
    changes = policy(blocks=2).decide(START)
    assert len({name.split(".")[1] for name in learning(changes)}) == 2
    assert not {"embeddings", "norm", "head"} & {change.layers for change in changes}


def test_no_block_waits_longer_than_a_round_of_all():
    one = policy(blocks=2)
    turns = Counter(depth for _ in range(9) for depth in (one.decide(STEPS), one.learning)[1])
    assert set(turns) == {1, 2, 3, 4, 5} and max(turns.values()) - min(turns.values()) <= 1


def test_a_resumed_policy_goes_on_as_if_nothing_had_happened():
    one = policy()
    one.decide(START)
    one.decide(STEPS)
    state, expected = one.save(), [learning(one.decide(STEPS)) for _ in range(5)]
    other = policy()
    other.load(state)
    other.decide(START)
    assert [learning(other.decide(STEPS)) for _ in range(5)] == expected


def test_another_seed_draws_others():
    drawn = [[learning(made.decide(STEPS)) for _ in range(4)] for made in (policy(1), policy(2), policy(1))]
    assert drawn[0] == drawn[2] != drawn[1]


def test_more_blocks_than_there_are_is_an_error():
    with pytest.raises(ConfigError, match="blocks is 9 and the model has 5"):
        policy(blocks=9)
