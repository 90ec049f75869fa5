"""A policy: a few random blocks learn at a time, embeddings, last norm and head always (LISA, Pan et al. 2024).

Every `every_steps` steps other `blocks` blocks are drawn, without repeating one before all have had their turn; the rest are
frozen and hold no optimiser state. The draw is a function of the seed and the round, and the state is in the checkpoint.
"""

import json
import random
from dataclasses import dataclass
from typing import Annotated

from retune_sdk import Bounds, Change, ConfigError, Event, Policy, PolicyContract, export, freeze, unfreeze


@dataclass
class Config:
    blocks: Annotated[int, Bounds(ge=1), "Blocks that learn at the same time."] = 2
    every_steps: Annotated[int, Bounds(ge=1), "Steps after which others are drawn."] = 20


class Lisa(Policy):
    Config = Config
    config: Config

    def __init__(self, config: Config, seed: int) -> None:
        super().__init__(config, seed)
        self.round = 0
        self.learning: list[int] = []
        self.waiting: list[int] = []

    def describe(self) -> PolicyContract:
        return PolicyContract(every_steps=self.config.every_steps)

    def attach(self, layers):
        # The last norm stands alone at its depth and is no block.
        self.depths = sorted({layer.depth for layer in layers if layer.kind in ("attention", "mlp", "adapter")})
        self.layers = [layer for layer in layers if layer.depth in self.depths]
        if self.config.blocks > len(self.depths):
            raise ConfigError(
                f"blocks is {self.config.blocks} and the model has {len(self.depths)}; ask for at most that"
            )

    def draw(self) -> None:
        """The next blocks to learn; those that have waited longest before others."""
        chance = random.Random(self.seed * 1_000_003 + self.round)
        chosen = self.waiting[: self.config.blocks]
        self.waiting = self.waiting[len(chosen) :]
        if len(chosen) < self.config.blocks:
            fresh = chance.sample(self.depths, len(self.depths))
            late = [depth for depth in fresh if depth not in chosen][: self.config.blocks - len(chosen)]
            self.waiting = [depth for depth in fresh if depth not in late]
            chosen += late
        self.learning = sorted(chosen)
        self.round += 1

    def decide(self, event: Event) -> list[Change]:
        if event.trigger not in ("start", "steps"):
            return []
        # After a restart the start is asked again; what was drawn before still holds.
        if event.trigger == "steps" or not self.learning:
            self.draw()
        reason = f"round {self.round}: depth {', '.join(map(str, self.learning))} learns"
        return [(unfreeze if layer.depth in self.learning else freeze)(layer.name, reason) for layer in self.layers]

    def save(self) -> bytes:
        return json.dumps([self.round, self.learning, self.waiting]).encode()

    def load(self, state: bytes) -> None:
        self.round, self.learning, self.waiting = json.loads(state)


export(Lisa)
