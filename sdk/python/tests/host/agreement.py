"""A metric that compares the host with the mock: `agreeing` is the share of the operations on which they agree.

The mock's answers are taken when this is built (`python write_expected.py`, then `python -m retune_sdk build agreement.py`). What differs is
logged. With `fail_at = 5` the fifth batch raises, to see how an exception is told.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from cases import answers
from expected import EXPECTED

from retune_sdk import TensorMetric, ValueSpec, export, log


@dataclass
class Config:
    fail_at: Annotated[int, "The batch at which to raise ValueError; 0 for none."] = 0


class Agreement(TensorMetric):
    Config = Config
    calls = 0

    def describe(self):
        return [ValueSpec("agreeing")]

    def reset(self):
        self.state = [0, 0]

    def merge(self, state):
        self.state = [a + b for a, b in zip(self.state, state, strict=True)]

    def update(self, batch):
        self.calls += 1
        if self.calls == self.config.fail_at:
            raise ValueError(f"batch {self.calls} is not to my taste")
        if self.calls > 1:
            return
        for name, given in answers().items():
            same = given[:2] == EXPECTED[name][:2] and all(
                close(*both) for both in zip(given[2], EXPECTED[name][2], strict=True)
            )
            if not same:
                log(f"`{name}` differs: {given} on the host, {EXPECTED[name]} in the mock", "warn")
            self.merge([int(same), 1])

    def compute(self):
        same, of = self.state
        return {"agreeing": same / of if of else math.nan}


def close(a, b):
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 2e-5 * (1 + abs(a))


export(Agreement)
