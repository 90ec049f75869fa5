"""A loss for rare classes: the self-adjusting Dice loss (Li et al. 2020), `1 - (2 w p + s) / (w p + 1 + s)`, `w = (1 - p)^alpha`.

`p` is the probability of the label. What the model is sure of already weighs little, so that easy rows of a frequent class do
not lead training. A sum over rows, as every loss: it does not depend on how a step is cut into batches.
"""

from dataclasses import dataclass
from typing import Annotated

from retune_sdk import IGNORE_INDEX, Batch, Bounds, Loss, LossOutput, Progress, export, fused


@dataclass
class Config:
    alpha: Annotated[float, Bounds(ge=0, le=10), "How much less a sure row weighs; 0 weighs all alike."] = 1.0
    smooth: Annotated[float, Bounds(gt=0, le=100), "Added above and below, so that no row's slope vanishes."] = 1.0


class Dice(Loss):
    Config = Config
    config: Config

    def compute(self, batch: Batch, at: Progress) -> LossOutput:
        logits, labels = batch["logits"], batch["labels"]
        log_p = fused.token_log_probs(logits, labels)
        p = log_p.exp()
        # The slope of a power below 1 is infinite at zero.
        overlap = (1 - p).clamp(min=1e-6) ** self.config.alpha * p
        loss = 1 - (2 * overlap + self.config.smooth) / (overlap + (1 + self.config.smooth))
        ignored = labels == IGNORE_INDEX
        count = (~ignored).float().sum()
        return LossOutput(
            numerator=loss.masked_fill(ignored, 0).sum(),
            denominator=count,
            reported={"cross_entropy": (-log_p.sum(), count)},
        )


export(Dice)
