"""How a deep forecaster is trained: AdamW, one cycle of the rate, moving average of the weights.

rate(p) = peak · p / 0.1 while p < 0.1, then peak · (0.01 + 0.99 cos²(π/2 · (p - 0.1)/0.9)),  p = progress
average' = d average + (1 - d) weights,  d = min(ema, (1 + n)/(10 + n)) after n steps: the start is forgotten at once
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn, optim

from forecast.types import Past

DYNAMICS = ("log_step", "log_decay", "frequency")  # poles and clocks: a smaller rate, and no decay towards 0
WARM, LAST = 0.1, 0.01


@dataclass(frozen=True)
class Recipe:
    """Rates and the density of the loss."""

    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    every: int = 24  # rows between the forecasts of a window that enter the loss
    ema: float = 0.99  # memory of the averaged weights; 0 = off
    outlier: float = 16.0  # spreads: no target lies farther out in the loss
    leads: int = 64  # of a horizon that enter the loss of a step
    unused: float = 0.25  # share of a window before its first forecast in the loss

    def optimizers(self, parameters: Iterable[tuple[str, nn.Parameter]], steps: float) -> dict[str, Any]:
        """Optimiser and schedule in the form Lightning asks for."""
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in parameters:
            groups[name.rsplit(".", 1)[-1] in DYNAMICS].append(parameter)
        adam = optim.AdamW(
            [
                {"params": groups[False], "lr": self.learning_rate, "weight_decay": self.weight_decay},
                {"params": groups[True], "lr": self.learning_rate / 3, "weight_decay": 0.0},
            ]
        )
        schedule = optim.lr_scheduler.LambdaLR(adam, lambda step: one_cycle(step / steps))
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def average(self, mean: Tensor, weights: Tensor, count: Tensor) -> Tensor:
        """The moving average of the weights after so many steps."""
        n = float(count)
        return mean.lerp(weights, 1 - min(self.ema, (1 + n) / (10 + n)))


class Trainable(Protocol):
    """What a forecaster with the trait `trained` has beside its contract."""

    recipe: Recipe

    def training_loss(self, batch: Past, step: int) -> Tensor:
        """Of the windows of a batch, context and horizon, at this step of the training."""

    def validation_loss(self, batch: Past) -> Tensor:
        """Of windows whose forecast is made once, after the context."""


def one_cycle(progress: float) -> float:
    """The share of the peak rate at this part of the training; it stays small and even where the end is not known."""
    if progress < WARM:
        return max(progress, LAST * WARM) / WARM
    angle = min(1.0, (progress - WARM) / (1 - WARM)) * math.pi / 2
    return LAST + (1 - LAST) * math.cos(angle) ** 2
