"""Baseline: how badly a small autoencoder, trained on calm windows of a sensor's rows, draws the last rows again.

    x the last `window` rows of all channels in calm units;  x̂ = W₂ tanh(W₁ x + b₁) + b₂;   statistic  |x - x̂|² / rows
One network for each sensor, all of them trained side by side by Adam on windows of the first half of the calm rows; the weights are part of what
is calibrated. Missing readings are drawn as their calm mean and count for nothing. Source: Sakurada & Yairi (2014), MLSDA, §3.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from forecast.detect.plain import Plain
from forecast.errors import InputError
from forecast.kernels import watch
from forecast.kernels.redraw import redraw

FAR = 5.0  # spreads of an input to the network; the error is taken to the value itself
RATE = 0.01  # of Adam
BATCH = 256  # windows


class Weights(NamedTuple):
    """Of each sensor's network; W = window · channels."""

    inward: Tensor  # (B W hidden)
    inward_bias: Tensor  # (B 1 hidden)
    outward: Tensor  # (B hidden W)
    outward_bias: Tensor  # (B 1 W)


class Recent(NamedTuple):
    """The last rows."""

    rows: Tensor  # (B window-1 C)


class Autoencoder(Plain):
    """Windows that are unlike calm ones."""

    kind: ClassVar[int] = watch.PATTERN

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        window: int = 16,  # rows that are drawn together
        hidden: int = 8,  # numbers that they are drawn from
        steps: int = 300,  # of training
        seed: int = 0,  # of weights and batches
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if min(window, hidden, steps) < 1:
            raise InputError(f"window={window}, hidden={hidden}, steps={steps}: give at least 1 of each")
        super().__init__(rate, guard, quality)
        self.window, self.hidden, self.steps, self.seed = window, hidden, steps, seed

    def fit(self, r: Tensor, values: Tensor) -> Weights:
        short = r.new_full((len(r), max(self.window - r.shape[1], 0), r.shape[2]), torch.nan)
        x, seen = _windows(torch.cat([short, r], 1), self.window)
        batch, count, width = x.shape
        draw = torch.Generator().manual_seed(self.seed)
        start = torch.randn(width, self.hidden, generator=draw, dtype=torch.float64) / width**0.5
        none = start.new_zeros
        first = (start, none(1, self.hidden), start.mT.clone(), none(1, width))
        weights = [leaf.expand(batch, *leaf.shape).clone().requires_grad_() for leaf in first]
        with torch.enable_grad():
            adam = torch.optim.Adam(weights, RATE)
            for _ in range(self.steps):
                rows = torch.randint(count, (min(BATCH, count),), generator=draw)
                off = (_drawn(Weights(*weights), x[:, rows]) - x[:, rows].clamp(-FAR, FAR)) * seen[:, rows]
                loss = off.square().mean((1, 2)).sum()  # each sensor's gradient is its own
                adam.zero_grad()
                loss.backward()
                adam.step()
        return Weights(*(leaf.detach() for leaf in weights))

    def begin(self, fitted: Weights) -> Recent:
        channels = fitted.outward_bias.shape[-1] // self.window
        return Recent(fitted.inward.new_full((len(fitted.inward), self.window - 1, channels), torch.nan))

    def run(self, fitted: Weights, own: Recent, r: Tensor) -> tuple[Recent, Tensor, Tensor]:
        rows = torch.cat([own.rows, r], 1)
        x, seen = _windows(rows, self.window)
        drawn, (inward, inner, outward, outer) = torch.empty_like(x), (leaf.contiguous().numpy() for leaf in fitted)
        redraw(x.clamp(-FAR, FAR).contiguous().numpy(), inward, inner[:, 0], outward, outer[:, 0], drawn.numpy())
        off = ((drawn - x) * seen).square().unflatten(-1, (self.window, r.shape[-1]))
        there = r.isfinite().any(-1, keepdim=True)
        statistic = torch.where(there, off.sum((-1, -2))[..., None] / self.window, torch.nan)
        share = off.sum(-2) + 1e-12
        return (
            Recent(rows[:, rows.shape[1] - self.window + 1 :].clone()),
            statistic,
            share / share.sum(-1, keepdim=True),
        )


def _windows(rows: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Windows (B N W) of rows (B N+window-1 C), missing readings 0, and which were there."""
    flat = rows.unfold(1, window, 1).mT.flatten(2)
    return flat.nan_to_num(0.0), flat.isfinite().double()


def _drawn(w: Weights, x: Tensor) -> Tensor:
    """x drawn again, for training; `redraw` does the same window by window."""
    return (x.clamp(-FAR, FAR) @ w.inward + w.inward_bias).tanh() @ w.outward + w.outward_bias
