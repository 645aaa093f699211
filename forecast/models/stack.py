"""Deep forecasters whose encoder is a stack of sequence layers, one for every row.

The layers are words of `forecast.layers.blocks`: s4d, s4, s5, mamba and so on; a model is the list of its blocks.
"""

from typing import Self

from forecast.layers.blocks import Stack
from forecast.layers.heads import LeadBasis, QuantileHead
from forecast.layers.scale import CausalScale
from forecast.models.deep import ROW, DeepForecaster
from forecast.models.recipe import Recipe


class StackForecaster(DeepForecaster):
    """Blocks on every row, a basis of leads at the end."""

    def __init__(
        self,
        blocks: tuple[str, ...] = ("s4d", "s4d"),
        width: int = 32,
        dropout: float = 0.1,
        half_life: float = 168.0,
        learning_rate: float = 3e-3,
        horizon: int = 24,
        seasons: tuple[int, ...] = (),
        channels: int = 1,
        inputs: int = 0,
        static: int = 0,
    ) -> None:
        head = QuantileHead(width, LeadBasis(horizon, seasons), inputs)
        encoder = Stack(ROW + inputs + static, tuple(blocks), width, dropout)
        super().__init__(encoder, head, CausalScale(half_life), channels, Recipe(learning_rate))
        self.blocks, self.width, self.dropout, self.half_life, self.learning_rate = (
            blocks,
            width,
            dropout,
            half_life,
            learning_rate,
        )
        self.horizon, self.seasons, self.inputs, self.static = horizon, seasons, inputs, static

    @classmethod
    def example(cls) -> Self:
        return cls(width=8, horizon=6, seasons=(4,), channels=2, inputs=1, static=1)
