"""The linear forecaster of many unlike series: its map acts on distances from each series' own seasonal profile.

    y_{t+h} = p_{t,h} + m_t + s_t Φ_h Wᵀ [f_t, ρ_t f_t, ρ_t² f_t]

p the causal profile of the leading season (`forecast.layers.season`) at the phase of the lead, m and s the causal location and spread of the
distances d from it, f the bank's features of (d - m)/s, ρ how far distances repeat after a season. A course of the day that is large against
what is left of it is then neither shrunk by the map nor written in a few smooth functions of the lead, and intervals have the width of what is left;
ρ tells series whose days grow or shrink evenly from those whose days vary by chance. Fitted in closed form; validation rows choose
whether products with ρ take part.
"""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from forecast.layers.scale import Units
from forecast.layers.season import SeasonalProfile, Track
from forecast.layers.two_paths import TwoPathsState
from forecast.models.deep import DeepState
from forecast.models.stack import StackForecaster
from forecast.types import Parameters, Past, Row


class Profiled(NamedTuple):
    """The state of an encoder, with the profile that its values are distances from."""

    bank: Any
    deep: Any
    profile: Tensor  # (B C 2M+4)


class SeasonalLTI(StackForecaster):
    """Seasonal profile, oscillator bank and a gated linear map."""

    copies = 3
    reach = (1.0, 0.5)  # a distance is up to a range, their range up to two

    def __init__(
        self,
        output: str = "quantiles",  # or student_t
        gain: float = 0.5,  # share of a distance that the profile learns
        half_life: float | None = None,  # rows, of the causal scale and of ρ; null: seven seasons
        horizon: int = 24,
        seasons: tuple[int, ...] = (),
        channels: int = 1,
        inputs: int = 0,
        static: int = 0,
    ) -> None:
        super().__init__(
            (), half_life=half_life, output=output, horizon=horizon, seasons=seasons, channels=channels, inputs=inputs,
            static=static,
        )  # fmt: skip
        season = max((s for s in seasons[:1] if s > 1), default=1)
        self.gain, self.needs = gain, self.seen + season
        self.profile = SeasonalProfile(season, gain, self.half_life)

    @classmethod
    def example(cls) -> Self:
        return cls(horizon=6, seasons=(4,), channels=2, inputs=1, static=1)

    def initial_state(self, parameters: Parameters, static: Tensor) -> DeepState:
        state = super().initial_state(parameters, static)
        return _with(state, self.profile.initial(len(static), self.channels, static.device))

    def encode(self, state: DeepState, past: Past) -> tuple[Tensor, Units, DeepState]:
        track = self._track(state, past)
        features, units, end = super().encode(_bare(state), past._replace(values=track.distance))
        features = self.expand(torch.cat([features, track.gate[..., None].to(features.dtype)], -1))
        return features, units, _with(end._replace(features=features[:, -1].contiguous()), track.profile)

    def encode_at(self, state: DeepState, past: Past, made: Tensor) -> tuple[Tensor, Units]:
        features, units, _ = self.encode(state, past)
        return features[:, made], Units(*(part[:, made] for part in units))

    def step(self, state: DeepState, row: Row) -> DeepState:
        distance, gate, profile = self.profile.one(row.values, row.elapsed, state.encoder.profile)
        end = super().step(_bare(state), row._replace(values=distance))
        features = self._gated(end.features, gate[..., None].to(end.features.dtype))
        return _with(end._replace(features=features), profile)

    def linear_features(self, past: Past) -> tuple[Tensor, Units, Tensor]:
        track = self._track(self.initial_state((), past.static), past)
        features, units, moments = super().linear_features(past._replace(values=track.distance))
        return torch.cat([features, track.gate[..., None].to(features.dtype)], -1), units, moments

    def burnt_in(self, past: Past) -> DeepState:
        track = self._track(self.initial_state((), past.static), past)
        return _with(super().burnt_in(past._replace(values=track.distance)), track.profile)

    def expand(self, features: Tensor) -> Tensor:
        """[f, ρ f, ρ² f] of [f, ρ]."""
        return self._gated(features[..., :-1], features[..., -1:])

    def _gated(self, f: Tensor, gate: Tensor) -> Tensor:
        return torch.cat([f, gate * f, gate.square() * f], -1)

    def ahead(self, units: Units, state: DeepState, past: Past | None, after: Tensor, horizon: int) -> Units:
        if past is None:
            none = state.static[:, :0]
            past = Past(none[..., None].expand(-1, 0, self.channels), none[..., None], none, state.static)
        origin = self._track(state, past).origins(after, horizon)
        moved = {name: getattr(units, name) + origin for name in ("loc", "lowest", "highest")}
        return units._replace(**moved)

    def _track(self, state: DeepState, past: Past) -> Track:
        return self.profile.run(past.values, past.elapsed, state.encoder.profile)


def _bare(state: DeepState) -> DeepState:
    """The state without its profile."""
    return state._replace(encoder=TwoPathsState(state.encoder.bank, state.encoder.deep))


def _with(state: DeepState, profile: Tensor) -> DeepState:
    """The state with this profile."""
    return state._replace(encoder=Profiled(state.encoder.bank, state.encoder.deep, profile))
