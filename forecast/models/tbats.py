"""Several seasons at once as trigonometric states, their harmonics found by AICc: the relative of TBATS on the exact Kalman engine.

    T(y)_t = μ_t + Σ_i Σ_k γ_t^{ik} + r_t + v_t,   (γ, γ*)_{t+1}^{ik} = rotation(2πk/s_i) (γ, γ*)_t^{ik} + w,   k = 1 … K_i
μ: a level, or one with a damped trend; r + v: white, or an ARMA(1,1); T: one of `powers`; model and start as in `forecast.ssm.structural`.
Search, of every lane by itself and all lanes of a form at once: from one harmonic of each season, none or the most to the neighbour with
the least AICc (up to two steps more or less of one season, with or without trend or memory, the next scale) until none is better.
The criterion takes the likelihood at the most likely start of the harmonics, as TBATS does: with the start integrated out a slow
season would have to pay for its wide prior.
Unlike De Livera, Hyndman & Snyder (2011, JASA 106(496)): level, trend, seasons and memory have noises of their own instead of one that
drives all; forecasts integrate the start out; the memory is first order; a Box-Cox power comes from a list; harmonics go
up a ladder and all seasons compete for the next one.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.errors import InputError, unknown
from forecast.models.auto.bank import Form, aicc, on_scale
from forecast.models.auto.choose import Chosen, empty
from forecast.models.auto.fit import Fit, Job, Kind, fits
from forecast.models.auto.run import explained
from forecast.models.auto.widths import widened
from forecast.models.auto_ssm import check_powers
from forecast.models.banked import BankedForecaster, by_lane
from forecast.models.decomposition import Components
from forecast.models.kalman import prior_of
from forecast.ssm.belief import pack, unpack
from forecast.ssm.kalman import loglik
from forecast.ssm.season import Season
from forecast.ssm.structural import Structural
from forecast.types import Parameters, Past, take

LADDER = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 36)  # harmonics of a season
KINDS = ("none", "damped")
ROUNDS = 16
LOW = -6.0  # least log variance that a climb goes on from: where one is nearly 0, its slope is too


class Place(NamedTuple):
    """Where the search of a lane is: steps of the ladder, trend, memory and scale by number."""

    steps: tuple[int, ...]
    trend: int
    memory: int
    power: int


class Tbats(BankedForecaster):
    """Trigonometric seasons of each channel, as many harmonics as its values tell."""

    traits = frozenset({"scale", "generative"})

    def __init__(
        self,
        season: int = 1,
        seasons: tuple[int, ...] = (),
        channels: int = 1,
        trends: tuple[str, ...] = KINDS,
        memory: bool = True,
        powers: tuple[float, ...] = (1.0,),
        harmonics: int = 36,
        horizon: int = 8,
    ) -> None:
        super().__init__()
        for trend in trends:
            if trend not in KINDS:
                raise unknown("trend", trend, KINDS)
        check_powers(powers)
        if not 1 <= harmonics <= LADDER[-1]:
            raise InputError(f"model.harmonics={harmonics}: at most so many harmonics of a season are tried, 1 … {LADDER[-1]}")
        self.season, self.seasons, self.channels, self.harmonics = season, seasons, channels, harmonics
        self.trends, self.memory, self.powers = trends, memory, powers
        self.horizon, self.robust = max(horizon, 1), 0.0
        self.lengths = tuple(length for length in (seasons or (season,)) if length > 2)
        self.ladders = tuple(ladder(min(harmonics, (length - 1) // 2)) for length in self.lengths)
        places = product(
            product(*[range(len(steps)) for steps in self.ladders]), range(len(trends)), range(1 + memory), range(len(powers))
        )
        self.places = {Place(*place): k for k, place in enumerate(places)}
        self.bank = self.forms = tuple(self._form(place) for place in self.places)

    @classmethod
    def example(cls) -> Self:
        return cls(season=4, seasons=(4, 12), channels=2, harmonics=2)

    def choose(self, lanes: Tensor) -> Chosen:
        """The search; all lanes of a form are fitted together."""
        chosen, count = empty(self.forms, len(lanes), lanes, slots=1), lanes.isfinite().sum(1)
        positive = (torch.where(lanes.isfinite(), lanes, 1.0) > 0).all(1).tolist()
        known: list[dict[Place, tuple[float, Fit]]] = [{} for _ in lanes]
        start = Place(tuple(1 for _ in self.lengths), 0, int(self.memory), 0)
        bare = Place(tuple(0 for _ in self.lengths), 0, 0, 0)
        full = Place(tuple(len(steps) - 1 for steps in self.ladders), 0, int(self.memory), 0)
        asked = [{start, bare, full} for _ in lanes]
        for _ in range(ROUNDS):
            self._try(lanes, count, positive, asked, known)
            asked = [set(self._neighbours(_best(one))) - one.keys() if one else set() for one in known]
            if not any(asked):
                break
        for lane, one in enumerate(known):
            if one:
                place = _best(one)
                chosen.form[lane, 0] = self.places[place]
                _put(chosen, lane, one[place][1])
        chosen = chosen._replace(weight=torch.where(chosen.form >= 0, 1.0, 0.0).to(lanes))
        return chosen._replace(widen=widened(self.forms, chosen, lanes, self.horizon, _again))

    def components(self, parameters: Parameters, past: Past) -> list[Components]:
        chosen: Chosen = by_lane(parameters)
        lanes = past.values.double().mT.flatten(0, 1)
        return [explained(self.forms, take(chosen, slice(lane, lane + 1)), y) for lane, y in enumerate(lanes)]

    def _form(self, place: Place) -> Form:
        found = [(length, steps[k]) for length, steps, k in zip(self.lengths, self.ladders, place.steps, strict=True)]
        seasons = tuple(Season(length, count, prior_of(length)) for length, count in found if count)
        return Form(Structural(self.trends[place.trend], seasons, memory=bool(place.memory)), self.powers[place.power])

    def _neighbours(self, place: Place) -> Iterator[Place]:
        """Forms one change away."""
        for k, (at, steps) in enumerate(zip(place.steps, self.ladders, strict=True)):
            for step in (at - 2, at - 1, at + 1, at + 2):
                if 0 <= step < len(steps):
                    yield place._replace(steps=(*place.steps[:k], step, *place.steps[k + 1 :]))
        yield from (place._replace(trend=trend) for trend in range(len(self.trends)) if trend != place.trend)
        yield from (place._replace(memory=1 - place.memory) for _ in range(self.memory))
        yield from (place._replace(power=power) for power in range(len(self.powers)) if abs(power - place.power) == 1)

    def _try(
        self,
        lanes: Tensor,
        count: Tensor,
        positive: Sequence[bool],
        asked: list[set[Place]],
        known: list[dict[Place, tuple[float, Fit]]],
    ) -> None:
        """Fits of the forms that are asked for, and their AICc, into what is known."""
        wanted: dict[Place, list[int]] = {}
        for lane, places in enumerate(asked):
            for place in sorted(places):
                form = self.forms[self.places[place]]
                if int(count[lane]) >= form.needs and (positive[lane] or form.power == 1):
                    wanted.setdefault(place, []).append(lane)
        jobs = []
        for place, own in wanted.items():
            form = self.forms[self.places[place]]
            start = form.model.starts(len(own), lanes)[0].clone()
            for row, lane in enumerate(own):
                same = known[lane].get(_best(known[lane])) if known[lane] else None
                if same is not None and same[1].theta.shape[1] == start.shape[1]:
                    start[row] = torch.cat([same[1].theta[0, : form.model.variances].clamp(min=LOW), start[row, form.model.variances :]])
            jobs.append(Job(form, lanes[own], start))
        for (place, own), made in zip(wanted.items(), fits(jobs), strict=True):
            form = self.forms[self.places[place]]
            value = aicc(made.loglik + gain(form, made, lanes[own]), form, count[own]).tolist()
            for row, lane in enumerate(own):
                known[lane][place] = value[row], Fit(*[leaf[row : row + 1] for leaf in made])


def ladder(most: int) -> list[int]:
    """How many harmonics are tried where there may be so many."""
    return [n for n in LADDER if n < most] + [most]


def gain(form: Form, fit: Fit, y: Tensor) -> Tensor:
    """What the log-likelihood of lanes (n T) gains (n) where harmonics start from their most likely values instead of the prior.

    These are a + P r, r the slope of the log-likelihood by the mean of the start (Durbin & Koopman 2012, §4.4).
    """
    prior = torch.cat([y.new_full((season.size,), season.prior) for season in form.model.seasons] or [y.new_zeros(0)])
    if not len(prior):
        return y.new_zeros(len(y))
    x = ((on_scale(form, y) - fit.loc[:, None]) / fit.spread[:, None])[..., None]
    coefs, belief = form.begin(fit.theta, fit.drift)
    at = 1 + form.model.sloped
    block = slice(at, at + len(prior))
    with torch.enable_grad():
        mean = belief.mean.detach().requires_grad_()
        found = loglik(form.model.program, coefs, belief._replace(mean=mean), x)
        (slope,) = torch.autograd.grad(found.sum(), mean)
    likely, covariance = belief.mean.clone(), unpack(belief.covariance)
    likely[:, block] += prior * slope[:, block]
    covariance[:, block, block] = 0.0
    known = belief._replace(mean=likely, covariance=pack(covariance))
    return loglik(form.model.program, coefs, known, x) - found.detach()


def _best(known: dict[Place, tuple[float, Fit]]) -> Place:
    return min(known, key=lambda place: known[place][0])


def _put(chosen: Chosen, lane: int, fit: Fit) -> None:
    """The parameters of a lane."""
    chosen.theta[lane, 0, : fit.theta.shape[1]] = fit.theta[0]
    chosen.drift[lane, 0], chosen.loc[lane, 0], chosen.spread[lane, 0] = fit.drift[0], fit.loc[0], fit.spread[0]


def _again(form: Kind, y: Tensor, fit: Fit) -> Fit:
    """A form fitted to fewer rows, in units of its own."""
    assert isinstance(form, Form)
    return fits([Job(form, y, fit.theta)])[0]
