"""The linear forecaster of many unlike series: its map acts on distances from each series' own seasonal profile.

    y_{t+h} = o_{t,h} + s_t Φ_h Wᵀ [f_t, ρ_t f_t, ρ_t² f_t]      o_{t,h} = p_{t,h} + m_t + Σ_k B_{k,h} g_t c_{t,h,k}

p the causal profile of the leading season at the phase of the lead; c what was there in earlier seasons, as distances from p: the value at the
last row of the phase, at the same phase of the longer season, a longer season before either of these (`forecast.layers.season`), and the mean
distance m; m and s are the causal location and spread of the distances d from p, f the bank's features of (d - m)/s. g are products of what is
known of the series by then: ρ how far distances repeat after a season, κ how much of what the longer season says comes true, ω how far off it is
against p. So one map tells series that follow the week from those that follow yesterday, and days that grow evenly from days that vary by chance.
A course of the day that is large against what is left of it is neither shrunk by the map nor written in a few smooth functions of the lead, and
intervals have the width of what is left. Fitted in closed form: B first (`forecast.models.origin`), one matrix for leads within a season and one
for those beyond; then W, where validation rows choose whether products with ρ take part.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from forecast.layers.scale import Units
from forecast.layers.season import RECALLED, SeasonalProfile, Track
from forecast.layers.two_paths import TwoPathsState
from forecast.models import origin
from forecast.models.deep import DeepState
from forecast.models.stack import StackForecaster
from forecast.types import Parameters, Past, Row

LONGEST = 1500  # rows of a longer season that are remembered


class Profiled(NamedTuple):
    """The state of an encoder, with the profile that its values are distances from."""

    bank: Any
    deep: Any
    profile: Tensor  # (B C 2M+8+2L)


class SeasonalLTI(StackForecaster):
    """Seasonal profile, oscillator bank and a gated linear map."""

    blend: Tensor
    copies = 3
    turning = slice(1)  # what comes again in a longer season is remembered as it was: one map for many unlike series has no use for more
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
        longer = next((s for s in seasons[1:] if season < s <= LONGEST), season)
        self.gain, self.needs = gain, self.seen + season
        self.profile = SeasonalProfile(season, longer, gain, self.half_life)
        self.register_buffer("blend", torch.zeros(2, RECALLED + 1, origin.GATES, dtype=torch.float64))

    @classmethod
    def example(cls) -> Self:
        return cls(horizon=6, seasons=(4, 12), channels=2, inputs=1, static=1)

    def initial_state(self, parameters: Parameters, static: Tensor) -> DeepState:
        state = super().initial_state(parameters, static)
        return _with(state, self.profile.initial(len(static), self.channels, static.device))

    def encode(self, state: DeepState, past: Past) -> tuple[Tensor, Units, DeepState]:
        track = self.track(state, past)
        features, units, end = super().encode(_bare(state), past._replace(values=track.distance))
        features = self.expand(_gated(features, track))
        return features, units, _with(end._replace(features=features[:, -1].contiguous()), track.profile)

    def encode_at(self, state: DeepState, past: Past, made: Tensor) -> tuple[Tensor, Units]:
        features, units, _ = self.encode(state, past)
        return features[:, made], Units(*(part[:, made] for part in units))

    def step(self, state: DeepState, row: Row) -> DeepState:
        distance, gate, profile = self.profile.one(row.values, row.elapsed, state.encoder.profile)
        end = super().step(_bare(state), row._replace(values=distance))
        features = self.expand(torch.cat([end.features, gate[..., None].to(end.features.dtype)], -1))
        return _with(end._replace(features=features), profile)

    def linear_features(self, past: Past) -> tuple[Tensor, Units, Tensor]:
        track = self.track(self.initial_state((), past.static), past)
        features, units, moments = super().linear_features(past._replace(values=track.distance))
        return _gated(features, track), units, moments

    def burnt_in(self, past: Past) -> DeepState:
        track = self.track(self.initial_state((), past.static), past)
        return _with(super().burnt_in(past._replace(values=track.distance)), track.profile)

    def expand(self, features: Tensor) -> Tensor:
        """[f, ρ f, ρ² f] of [f, ρ]."""
        f, gate = features[..., :-1], features[..., -1:]
        return torch.cat([f, gate * f, gate.square() * f], -1)

    def prepare(self, pasts: Iterable[tuple[Past, Tensor]]) -> None:
        origin.fit(self, pasts)

    def ahead(self, units: Units, state: DeepState, past: Past | None, after: Tensor, horizon: int) -> Units:
        if past is None:
            none = state.static[:, :0]
            past = Past(none[..., None].expand(-1, 0, self.channels), none[..., None], none, state.static)
        profile, distances, gates = self.remembered(units, self.track(state, past), after, horizon)
        blended = origin.blended(self.blend, distances, gates, self.profile.season)
        return units._replace(loc=profile + blended, lowest=units.lowest + profile, highest=units.highest + profile)

    def remembered(self, units: Units, track: Track, after: Tensor, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        """p (B P H C), c (B P H C 5) and g (B P C 9) of forecasts made after so many rows (P), from the units there (B P 1 C)."""
        profile = track.origins(after, horizon)
        mean = units.loc.expand(profile.shape)
        distances = torch.cat([track.recalled(after, horizon, profile), mean[..., None]], -1)
        return profile, distances, origin.gates(track.gate[:, after])

    def track(self, state: DeepState, past: Past) -> Track:
        """The profile along the rows of a past."""
        return self.profile.run(past.values, past.elapsed, state.encoder.profile)


def _bare(state: DeepState) -> DeepState:
    """The state without its profile."""
    return state._replace(encoder=TwoPathsState(state.encoder.bank, state.encoder.deep))


def _with(state: DeepState, profile: Tensor) -> DeepState:
    """The state with this profile."""
    return state._replace(encoder=Profiled(state.encoder.bank, state.encoder.deep, profile))


def _gated(features: Tensor, track: Track) -> Tensor:
    """[f, ρ] after each row."""
    return torch.cat([features, track.gate[:, 1:, :, :1].to(features.dtype)], -1)
