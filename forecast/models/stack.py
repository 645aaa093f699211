"""The frame of the deep forecasters: what they share beside their own layers.

    causal scale → f_t = bank(x)_t      h = blocks(f at every P-th row), held in between
    coefficients of the median on a basis of leads = W f_t + V h_t

The bank is not trained, and W is fitted in closed form (`forecast.models.closed_form`): a strong linear forecaster in a second or two.
The blocks are trained; V starts at 0, so that they begin as a correction of nothing, and where no correction has a smaller
validation error none is kept. Blocks are words of `forecast.layers.blocks`: a model is the list of its blocks.
"""

from typing import ClassVar, Self

from forecast.errors import unknown
from forecast.layers.bank import Bank
from forecast.layers.blocks import Stack
from forecast.layers.heads import LeadBasis, QuantileHead
from forecast.layers.sampled import Sampled
from forecast.layers.scale import CausalScale
from forecast.layers.student import StudentHead
from forecast.layers.two_paths import TwoPaths
from forecast.models.deep import ROW, DeepForecaster
from forecast.models.recipe import Recipe

WEEK = 7  # leading seasons: half-life of the causal scale
SHORTEST = 4  # rows, of a season where the scale needs one
HEADS: dict[str, type[QuantileHead]] = {"quantiles": QuantileHead, "student_t": StudentHead}
THIRD, MOST = 3, 16  # samples of the deep path in a season, and rows between two of them at most


class StackForecaster(DeepForecaster):
    """Bank and linear head, and blocks on sampled states."""

    own: ClassVar[tuple[str, ...]] = ()  # the blocks of the member
    copies: ClassVar[int] = 1  # of the bank's features, see `expand`
    turning: ClassVar[slice] = slice(None)  # which of the seasons the bank has oscillators of

    def __init__(
        self,
        blocks: tuple[str, ...] | None = None,  # words of layers; null: the member's own
        every: int | None = None,  # rows between two samples of the deep path; null: a third of the season
        width: int = 64,  # channels of the deep path
        dropout: float = 0.3,
        half_life: float | None = None,  # rows, of the causal scale; null: seven seasons
        learning_rate: float = 1e-3,
        output: str = "quantiles",  # or student_t: trained by its likelihood, exact tails
        horizon: int = 24,
        seasons: tuple[int, ...] = (),
        channels: int = 1,
        inputs: int = 0,
        static: int = 0,
    ) -> None:
        lead = max((s for s in seasons[:1] if s > 1), default=0)
        words = self.own if blocks is None else tuple(blocks)
        bank = Bank(seasons[self.turning])
        every = every or max(1, min(lead // THIRD if lead else SHORTEST, MOST))
        half_life = half_life or float(WEEK * max(lead, SHORTEST))
        stack = Stack(bank.linear + ROW - 1 + inputs + static, words, width, dropout) if words else None
        encoder = TwoPaths(bank, None if stack is None else Sampled(stack, width, every))
        basis, deep = LeadBasis(horizon, seasons), width if words else 0
        if output not in HEADS:
            raise unknown("output", output, HEADS)
        head = HEADS[output](self.copies * bank.linear, deep, channels, basis, inputs, last=bank.linear - 1)
        super().__init__(encoder, head, CausalScale(half_life), channels, Recipe(learning_rate))
        self.blocks, self.every, self.width, self.dropout, self.half_life = words, every, width, dropout, half_life
        self.learning_rate, self.output = learning_rate, output
        self.horizon, self.seasons, self.inputs, self.static = horizon, seasons, inputs, static

    @classmethod
    def example(cls) -> Self:
        return cls(every=3, width=8, horizon=6, seasons=(4,), channels=2, inputs=1, static=1)
