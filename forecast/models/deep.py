"""Deep forecasters: causal scale → encoder (a sequence layer) → quantiles of every lead.

    x_t = clip((y_t - m_t) / s_t, ±8)     f_t = encoder(x, observed, inputs, static)_t     q_{t,h} = m_t + s_t head(f_t)_h

Every channel is a sequence of its own (channel-independent) under shared weights; location m and spread s are causal, so the
recurrent form sees what the parallel form saw. Trained densely: pinball loss of the forecasts made after many rows of a window.
Shapes: past (B T C); encoder rows (B·C T F); features (B T C F); quantiles (B H C Q), in data units and the dtype of the data.
"""

import math
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Forecast
from forecast.layers import live
from forecast.layers.heads import QuantileHead
from forecast.layers.sampled import SampledState
from forecast.layers.scale import CausalScale, Units
from forecast.layers.two_paths import TwoPaths, TwoPathsState
from forecast.models.forecaster import Forecaster
from forecast.models.recipe import Recipe
from forecast.ssm.modes import is_regular
from forecast.types import Future, Parameters, Past, Row, tree_map

BOUND = 8.0  # spreads: what lies farther out enters the encoder as this
CHUNK = 4096  # rows of a long past that are encoded at once
ROW = 2  # columns of an encoder row before inputs and static covariates: value, observed


class DeepState(NamedTuple):
    """What a deep forecaster carries from row to row."""

    moments: Tensor  # (B C 9): causal scale
    encoder: Any  # (B C …)
    features: Tensor  # (B C F): of the last row
    static: Tensor  # (B M)


class DeepForecaster(Forecaster):
    """Causal scale, encoder and quantile head, and how they are trained together."""

    needs = 3
    seen = 3  # values that the scale has to have seen before a forecast exists
    burn_in = 0  # rows before a training window that the bank and the scale see; the trainer sets it
    reach: ClassVar[tuple[float, float]] = (0.0, 1.0)  # see `Units.restore`
    traits: ClassVar[frozenset[str]] = frozenset({"scale", "shift", "panel", "trained", "covariates"})

    def __init__(
        self, encoder: TwoPaths, head: QuantileHead, scale: CausalScale, channels: int, recipe: Recipe
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.scale, self.channels, self.recipe = encoder, head, scale, channels, recipe

    def initial_state(self, parameters: Parameters, static: Tensor) -> DeepState:
        fold = (static.shape[0], self.channels)
        encoder = _unfold(self.encoder.initial_state(fold[0] * fold[1]), fold)
        features = self.head.weight.new_zeros(*fold, self.head.features)
        return DeepState(self.scale.initial_moments(*fold, static.device), encoder, features, static)

    def warm_up(self, state: DeepState, past: Past) -> DeepState:
        for low in range(0, past.values.shape[1], CHUNK):
            _, _, state = self.encode(state, past.rows(low, low + CHUNK))
        return state

    def encode(self, state: DeepState, past: Past) -> tuple[Tensor, Units, DeepState]:
        """Features after each row (B T C F), the units there (B T C), and the state after the last row."""
        units, moments, rows = self._for_the_bank(state, past)
        y, encoder = self.encoder(rows[0], _fold(state.encoder), *rows[1:])
        features, fold = self._unlaned(y, past), (past.values.shape[0], past.values.shape[2])
        return features, units, DeepState(moments, _unfold(encoder, fold), features[:, -1].contiguous(), state.static)

    def encode_at(self, state: DeepState, past: Past, made: Tensor) -> tuple[Tensor, Units]:
        """Features after the rows `made` (P, ascending) alone (B P C F), and the units there (B P C)."""
        units, _, rows = self._for_the_bank(state, past)
        y = self.encoder.at(rows[0], _fold(state.encoder), *rows[1:], made)
        return self._unlaned(y, past), Units(*(part[:, made] for part in units))

    def linear_features(self, past: Past) -> tuple[Tensor, Units, Tensor]:
        """The bank's features after each row of a past from its beginning (B T C linear), the units there, the moments at its end."""
        state = self.initial_state((), past.static)
        units, moments, rows = self._for_the_bank(state, past)
        features, _ = self.encoder.bank(rows[0], _fold(state.encoder.bank), *rows[1:])
        return self._unlaned(features[..., : self.encoder.bank.linear], past), units, moments

    def burnt_in(self, past: Past) -> DeepState:
        """The state after a past from its beginning that the bank and the scale have seen, and the deep path has not."""
        state = self.initial_state((), past.static)
        _, moments, rows = self._for_the_bank(state, past)
        bank = self.encoder.bank.after(rows[0], _fold(state.encoder.bank), *rows[1:])
        encoder = state.encoder._replace(bank=_unfold(bank, (past.values.shape[0], past.values.shape[2])))
        return state._replace(moments=moments, encoder=encoder)

    def prepare(self, pasts: Iterable[tuple[Past, Tensor]]) -> None:
        """What is set before the linear part, from pasts, each with how many of its last rows (B) are for validation."""

    def expand(self, features: Tensor) -> Tensor:
        """The features that the map is linear in, from those of `linear_features`."""
        return features

    def ahead(self, units: Units, state: DeepState, past: Past | None, after: Tensor, horizon: int) -> Units:
        """Units of the leads (B P H C, or B P 1 C) of forecasts made after so many rows (P), from those there (B P 1 C)."""
        return units

    def _for_the_bank(self, state: DeepState, past: Past) -> tuple[Units, Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Units after each row, moments after the last, and encoder rows, elapsed and observed of every lane (B·C T …)."""
        units, moments = self.scale.run(past.values, past.elapsed, state.moments)
        u, observed = self._rows(units, past.values, past.inputs, past.static[:, None])
        elapsed = past.elapsed[:, None].expand(-1, past.values.shape[2], -1).flatten(0, 1)
        return units, moments, (u.transpose(1, 2).flatten(0, 1), elapsed, observed.transpose(1, 2).flatten(0, 1))

    def _unlaned(self, rows: Tensor, past: Past) -> Tensor:
        """(B·C T …) as (B T C …)."""
        return rows.unflatten(0, (past.values.shape[0], past.values.shape[2])).transpose(1, 2)

    def step(self, state: DeepState, row: Row) -> DeepState:
        fold = row.values.shape
        if live.able(self.encoder.bank, row.values):
            return self._live(state, row)
        elapsed = row.elapsed[:, None].expand(fold).flatten()
        _, moments = self.scale.run(row.values[:, None], row.elapsed[:, None], state.moments)
        u, observed = self._rows(Units.of(moments), row.values, row.inputs, state.static)
        y, encoder = self.encoder.step(u.flatten(0, 1), _fold(state.encoder), elapsed, observed.flatten())
        return DeepState(moments, _unfold(encoder, fold), y.unflatten(0, fold), state.static)

    def _live(self, state: DeepState, row: Row) -> DeepState:
        """The same at the cost of a live row: most rows are no samples of the deep path."""
        fold, deep, inner = row.values.shape, self.encoder.deep, state.encoder.deep
        f, moments, bank = live.advance(
            self.scale, self.encoder.bank, BOUND, row.values, row.elapsed, state.moments, state.encoder.bank
        )
        if deep is None:
            return DeepState(moments, TwoPathsState(bank, ()), f.view(*fold, -1), state.static)
        count, since, due = live.clock(deep, inner, row.values, row.elapsed)
        if due is None:
            inner = SampledState(inner.inner, count, since, inner.held)
        else:
            observed = ~row.values.isnan()
            rows = torch.cat([f, self._beside(observed, row.inputs, state.static).flatten(0, 1)], -1)
            parts = _fold((inner.inner, inner.held, count, since, due))
            inner = _unfold(deep.sample(rows, *parts), fold)
        features = torch.cat([f.view(*fold, -1), inner.held], -1)
        return DeepState(moments, TwoPathsState(bank, inner), features, state.static)

    def _rows(self, units: Units, values: Tensor, inputs: Tensor, static: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder is given (… C F), and where something was observed (… C)."""
        observed = ~values.isnan()
        x = units.standardise(values.to(torch.float64), BOUND).nan_to_num(nan=0.0).to(self.head.weight.dtype)
        return torch.cat([x[..., None], self._beside(observed, inputs, static)], -1), observed

    def _beside(self, observed: Tensor, inputs: Tensor, static: Tensor) -> Tensor:
        """The columns of an encoder row after its value (… C F - 1): whether it was observed, inputs, static covariates."""
        kind, known = self.head.weight.dtype, inputs
        if inputs.shape[-1] + static.shape[-1] == 0:
            return observed[..., None].to(kind)
        known = torch.cat(
            [self.head.known.standardise(inputs), static.expand(*inputs.shape[:-1], -1).to(torch.float64)], -1
        )
        known = known[..., None, :].expand(*observed.shape, -1)
        return torch.cat([observed[..., None].to(kind), known.to(kind)], -1)

    def predict(self, state: DeepState, future: Future) -> Forecast:
        now, horizon = torch.zeros(1, dtype=torch.int64, device=state.moments.device), future.elapsed.shape[1]
        units = Units(*(part[:, None] for part in Units.of(state.moments[:, None])))
        units = Units(*(part[:, 0] for part in self.ahead(units, state, None, now, horizon)))
        return self._forecast(state.features, units, future.inputs, future.elapsed)

    def trace(
        self, state: DeepState, past: Past, future: Future, horizon: int = 1, every: int = 1
    ) -> tuple[Forecast, DeepState]:
        features, units, end = self.encode(state, past)
        before, rows = Units.of(state.moments[:, None]), past.values.shape[1]
        features = torch.cat([state.features[:, None], features[:, :-1]], 1)[:, ::every]
        made = [
            torch.cat([first, later[:, :-1]], 1)[:, ::every, None] for first, later in zip(before, units, strict=True)
        ]
        inputs = ahead(torch.cat([past.inputs, future.inputs], 1), rows, horizon, 0.0)[:, ::every]
        elapsed = ahead(torch.cat([past.elapsed, future.elapsed], 1), rows, horizon, 1.0)[:, ::every]
        after = torch.arange(0, rows, every, device=features.device)
        return self._forecast(features, self.ahead(Units(*made), state, past, after, horizon), inputs, elapsed), end

    def widen(self, state: DeepState, factor: Tensor) -> DeepState:
        return state._replace(moments=self.scale.widen(state.moments, factor))

    def _forecast(self, features: Tensor, units: Units, inputs: Tensor, elapsed: Tensor) -> Forecast:
        """Forecasts from features (B … C F), units (B … 1 C), inputs (B … H K) and elapsed (B … H) of the leads."""
        said = self.standardised(features, inputs, elapsed).transpose(-2, -3)
        return self.head.forecast(said, units, self.reach, units.count >= self.seen, elapsed.dtype)

    def standardised(
        self, features: Tensor, inputs: Tensor, elapsed: Tensor, kept: slice | Tensor = slice(None)
    ) -> Tensor:
        """What the head says (B … C H P), quantiles or parameters, in units of the scale, of the leads `kept`, whose inputs are given."""
        lead = elapsed.cumsum(-1)[..., None, kept]
        if is_regular(elapsed):
            count = elapsed.shape[-1]
            kind = torch.int64 if count <= self.head.basis.horizon else torch.float64
            lead = torch.arange(1, count + 1, device=elapsed.device, dtype=kind)[kept]
        known = inputs[..., None, :, :].expand(*features.shape[:-1], *inputs.shape[-2:])
        said: Tensor = self.head(features, lead, known)
        return said

    def training_loss(self, batch: Past, step: int) -> Tensor:
        return self._loss(batch, self.recipe.every, step, self.recipe.leads)

    def validation_loss(self, batch: Past) -> Tensor:
        return self._loss(batch, batch.values.shape[1], 0)

    def _loss(self, batch: Past, every: int, phase: int, leads: int | None = None) -> Tensor:
        """Loss of the forecasts of `compared`; rows count by their spread relative to the window's, up to 3."""
        q, target, seen, spread = self.compared(batch, every, phase, leads)
        scale = (spread / spread.mean(1, keepdim=True).clamp(min=1e-150)).clamp(max=3.0)
        weight = seen * scale.transpose(-1, -2).to(q.dtype)
        loss = self.head.loss(q, torch.where(seen, target, 0.0))
        return torch.where(seen, weight * loss, 0.0).sum() / weight.sum().clamp(min=1e-6)

    def compared(
        self, batch: Past, every: int, phase: int = 0, leads: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the head says (B P C H P) and targets (B P C H) in units of the scale, where these are known, the spreads (B P 1 C).

        P: the rows after which a forecast is made, every `every`-th, the last full one included where `phase` is 0.
        Of the leads at most so many are taken, drawn anew.
        """
        state = self.burnt_in(batch.rows(0, self.burn_in))
        batch = batch.rows(self.burn_in, batch.values.shape[1])
        horizon, context = self.head.basis.horizon, batch.values.shape[1] - self.head.basis.horizon
        first = max(int(context * self.recipe.unused) - 1, 0)
        made = torch.arange(context - 1 - phase % every, first - 1, -every, device=batch.values.device).flip(0)
        features, units = self.encode_at(state, batch.rows(0, context), made)
        after, kept = made + 1, slice(None) if leads is None or leads >= horizon else _some(horizon, leads)
        elapsed = ahead(batch.elapsed, context + 1, horizon, 1.0)[:, after]
        inputs = ahead(batch.inputs, context + 1, horizon, 0.0)[:, after][:, :, kept]
        q = self.standardised(features, inputs, elapsed, kept)
        actual = ahead(batch.values, context + 1, horizon, math.nan)[:, after][:, :, kept]
        there = self.ahead(Units(*(part[:, :, None] for part in units)), state, batch, after, horizon)
        there = there._replace(loc=there.loc[:, :, kept] if there.loc.shape[2] > 1 else there.loc)
        target = there.standardise(actual.to(torch.float64), self.recipe.outlier).transpose(-1, -2).to(q.dtype)
        seen = ~target.isnan() & (there.count >= self.seen).transpose(-1, -2)
        return q, target, seen, there.spread


def ahead(rows: Tensor, count: int, horizon: int, fill: float) -> Tensor:
    """Windows of the rows t … t+horizon-1 of (B R …) for t < count: (B count horizon …), past the end filled up."""
    short = max(0, count + horizon - 1 - rows.shape[1])
    padded = torch.cat([rows, rows.new_full((rows.shape[0], short, *rows.shape[2:]), fill)], 1)
    return padded.unfold(1, horizon, 1)[:, :count].movedim(-1, 2)


def _some(horizon: int, count: int) -> Tensor:
    """`count` leads, one drawn from each of as many equal stretches."""
    start = torch.arange(count) * horizon / count
    return (start + torch.rand(count) * horizon / count).long().clamp(max=horizon - 1)


def _fold(tree: Any) -> Any:
    """Leaves (B C …) as (B·C …)."""
    return tree_map(lambda leaf: leaf.flatten(0, 1), tree)


def _unfold(tree: Any, fold: tuple[int, ...]) -> Any:
    """Leaves (B·C …) as (B C …)."""
    return tree_map(lambda leaf: leaf.unflatten(0, fold), tree)
