"""Orders of seasonal ARIMA models, found for many lanes at once by a stepwise search on AICc.

D where the season is strong, d by KPSS tests (`forecast.models.differencing`). The search is on w = (1-L)^d (1-L^s)^D y, in which a gap
leaves missing values, by the exact likelihood of its ARMA model, with a mean c where d + D < 2 (always where it is 0):

    AICc = -2 log L(w) + 2 k + 2 k (k + 1) / (n - k - 1),    k = p + q + P + Q + 1 [+ 1 for c],   n observed values of w

From four orders every lane goes to the neighbour with the least AICc until none is better, all lanes of an order at once. An order whose longest
lag is more than a third of n is not tried. The best is fitted again as a model of y, differences exactly diffuse, from where the search ended:
nothing is lost to a gap but itself.
Source: Hyndman & Khandakar (2008), J. Stat. Software 27(3), §3.2; shapes: a lane is one channel of one series, (n T).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from forecast.models.auto.bank import on_scale, standardised
from forecast.models.auto.fit import Fit
from forecast.models.differencing import STRONG, differenced, differences, strength
from forecast.models.gaps import interpolated
from forecast.ssm.arima import Arima
from forecast.ssm.belief import Belief
from forecast.ssm.fit import minimise
from forecast.ssm.kalman import loglik

SKETCH, FINAL = (20, 1e-5), (60, 1e-7)  # of a climb while searching and at the end: most steps, and the relative gain that ends it
ROUNDS = 8
CLASS = 2.0  # lengths that differ by less go through together
STEPS = [(1, 0, 0, 0), (-1, 0, 0, 0), (0, 1, 0, 0), (0, -1, 0, 0), (1, 1, 0, 0), (-1, -1, 0, 0)]
SEASONAL = [(0, 0, 1, 0), (0, 0, -1, 0), (0, 0, 0, 1), (0, 0, 0, -1), (0, 0, 1, 1), (0, 0, -1, -1)]

Lags = tuple[int, int, int, int, int]  # p, q, P, Q and whether there is a mean
Most = tuple[int, int, int, int]  # of p, q, P, Q


@dataclass(frozen=True)
class Order:
    """A seasonal ARIMA model on a scale."""

    model: Arima
    power: float = 1.0
    profile: int = 0

    def begin(self, theta: Tensor, drift: Tensor) -> tuple[Tensor, Belief]:
        """Coefficients and the belief before the first row, of parameters (n P)."""
        return self.model.coefficients(theta), self.model.start(len(theta), theta, theta)

    @property
    def word(self) -> str:
        """As people write it."""
        return self.model.word

    @property
    def scale(self) -> str:
        """What is taken of the values."""
        return "" if self.power == 1 else "logarithm" if self.power == 0 else f"power {self.power:g}"


class Found(NamedTuple):
    """The order of some lanes, and their parameters."""

    order: Order
    lanes: Tensor  # (k) of all
    fit: Fit


class Group(NamedTuple):
    """Lanes of similar length."""

    lanes: Tensor  # (n) of those given
    x: Tensor  # (n T): their values in units of the model
    loc: Tensor  # (n)
    spread: Tensor  # (n)
    differences: list[tuple[int, int]]  # d and D of each
    w: Tensor  # (n T): what they leave


class Sketch(NamedTuple):
    """What is known of one order of one lane."""

    aicc: float
    theta: Tensor  # (P)


Known = list[dict[Lags, Sketch]]  # of each lane


def arima(lags: Lags, d: int, D: int, season: int) -> Arima:
    """The model of these lags and differences."""
    p, q, P, Q, c = lags
    seasonal = (P, D, Q)
    return Arima((p, d, q), seasonal, season if any(seasonal) else 1, constant="free" if c else "none")


def bank(season: int, most: Most, power: float) -> tuple[Order, ...]:
    """Every order that can be found."""
    p_, q_, P_, Q_ = (range(n + 1) for n in (most if season > 1 else (*most[:2], 0, 0)))
    lags = [(p, q, P, Q, c) for p in p_ for q in q_ for P in P_ for Q in Q_ for c in (0, 1)]
    kinds = [(d, D) for D in range(1 + (season > 1)) for d in range(3 - D)]
    return tuple(
        Order(arima(each, d, D, season), scale)
        for scale in sorted({1.0, power})
        for d, D in kinds
        for each in lags
        if _mean_fits(each, d + D)
    )


def found(y: Tensor, season: int, most: Most, power: float) -> Iterator[Found]:
    """The best orders of lanes (n T), those of one order together; lanes without a value have none."""
    seen, positive = y.isfinite().any(1), (torch.where(y.isfinite(), y, 1.0) > 0).all(1)
    for scale, usable in [(power, positive), (1.0, ~positive)] if power != 1 else [(1.0, seen)]:
        lanes = (seen & usable).nonzero()[:, 0]
        for group in _groups(on_scale(Order(Arima((0, 0, 0)), scale), y[lanes]), season):
            known = searched(group, season, most)
            best = [(_best(one), *two) for one, two in zip(known, group.differences, strict=True)]
            for lags, d, D in dict.fromkeys(best):
                own = [k for k, one in enumerate(best) if one == (lags, d, D)]
                model, x, spread = arima(lags, d, D, season), group.x[own], group.spread[own]
                theta, value = climbed(model, x, torch.stack([known[k][lags].theta for k in own]), FINAL)
                none = torch.zeros_like(value)
                value = value - x.isfinite().sum(1) * spread.log()
                fit = Fit(theta, none, group.loc[own], spread, none[:, None], value)
                yield Found(Order(model, scale), lanes[group.lanes[own]], fit)


def searched(group: Group, season: int, most: Most) -> Known:
    """AICc of every order that the search went by, of each lane of a group."""
    w, taken = group.w, [d + D for d, D in group.differences]
    count = w.isfinite().sum(1).tolist()
    known: Known = [{} for _ in count]
    asked = [
        [lags for lags in _first(int(d < 2), season, most) if _enough(lags, n, season)]
        for d, n in zip(taken, count, strict=True)
    ]
    for _ in range(ROUNDS):
        for lags in dict.fromkeys(lags for each in asked for lags in each):
            own = [k for k, each in enumerate(asked) if lags in each]
            model = arima(lags, 0, 0, season)
            starts = [torch.stack([_carried(known[k], lags, w[k]) for k in own])]
            if (lags[0] and lags[1]) or (lags[2] and lags[3]):  # the likelihood may have several peaks
                starts.append(model.starts(len(own), w)[1])
            ends = [climbed(model, w[own], start, SKETCH) for start in starts]
            value, which = torch.stack([end[1] for end in ends]).max(0)
            theta = torch.stack([end[0] for end in ends])[which, torch.arange(len(own))]
            for k, at, one in zip(own, theta, value.tolist(), strict=True):
                known[k][lags] = Sketch(aicc(one, len(at), count[k]), at)
        asked = [
            [lags for lags in neighbours(_best(one), d, season, most) if lags not in one and _enough(lags, n, season)]
            for one, d, n in zip(known, taken, count, strict=True)
        ]
        if not any(asked):
            break
    return known


def aicc(loglik: float, parameters: int, count: int) -> float:
    """Information criterion with the correction for few values."""
    return -2 * loglik + 2 * parameters * (1 + (parameters + 1) / max(count - parameters - 1, 0.5))


def neighbours(lags: Lags, differences: int, season: int, most: Most) -> list[Lags]:
    """Orders one step away."""
    *here, c = lags
    moved = [[now + step for now, step in zip(here, way, strict=True)] for way in STEPS + SEASONAL * (season > 1)]
    inside = [m for m in moved if all(0 <= now <= top for now, top in zip(m, most, strict=True))]
    near: list[Lags] = [(m[0], m[1], m[2], m[3], c) for m in inside] + [(*lags[:4], 1 - c)]
    return [each for each in near if _mean_fits(each, differences)]


def climbed(model: Arima, y: Tensor, start: Tensor, effort: tuple[int, float]) -> tuple[Tensor, Tensor]:
    """Parameters (n P) and log-likelihoods (n) of lanes (n T), by climbing from a start (n P)."""
    count = y.isfinite().sum(1).clamp(min=1)

    def objective(theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            theta = theta.detach().requires_grad_()
            value = -likelihood(model, theta, y[rows]) / count[rows]
            (slope,) = torch.autograd.grad(value.sum(), theta)
        return value.detach(), slope

    end = minimise(objective, start, *model.bounds(y), *effort)
    return end.x, -end.value * count


def likelihood(model: Arima, theta: Tensor, y: Tensor) -> Tensor:
    """Log-likelihood (n) of lanes (n T) at parameters (n P)."""
    return loglik(model.program, model.coefficients(theta), model.start(len(y), theta, theta), y[..., None])


def _first(c: int, season: int, most: Most) -> list[Lags]:
    """Where the search begins."""
    p, q, P, Q = most if season > 1 else (*most[:2], 0, 0)
    first = [(0, 0, 0, 0, c), (2, 2, 1, 1, c), (1, 0, 1, 0, c), (0, 1, 0, 1, c)]
    return list(dict.fromkeys((min(a, p), min(b, q), min(A, P), min(B, Q), c) for a, b, A, B, c in first))


def _groups(z: Tensor, season: int) -> Iterator[Group]:
    """Lanes (n T) by their length from the first value on; rows before the first of a group are cut off."""
    length = z.shape[1] - z.isfinite().to(torch.int64).argmax(1)
    kind = (length.log() / math.log(CLASS)).floor().to(torch.int64)
    for one in kind.unique().tolist():
        lanes = (kind == one).nonzero()[:, 0]
        x, loc, spread = standardised(z[lanes, z.shape[1] - int(length[lanes].max()) :])
        seasonal = season > 1
        strong = (strength(x, season) > STRONG) & (x.isfinite().sum(1) >= 3 * season) if seasonal else loc.new_zeros(len(x))
        taken, w = [], []
        for y, rows, D in zip(x.split(1), length[lanes].tolist(), strong.long().tolist(), strict=True):
            filled = differenced(interpolated(y[:, -rows:]), 0, D, season)[0, D * season :]
            taken.append((differences(filled.numpy(), 2 - D), D))
            w.append(differenced(y, *taken[-1], season))
        yield Group(lanes, x, loc, spread, taken, torch.cat(w))


def _carried(known: dict[Lags, Sketch], lags: Lags, w: Tensor) -> Tensor:
    """The parameters of the best order so far as those (P) of other lags, what it lacks 0; white noise where there is none."""
    mean = w.nanmean()
    if not known:
        noise = (w - mean).square().nanmean().nan_to_num(0.0).clamp(min=1e-7).log()
        return torch.stack([noise, *[0 * noise] * sum(lags[:4]), *[mean] * lags[4]]).nan_to_num(0.0)
    p, q, P, Q, c = best = _best(known)
    sizes = 1, lags[0], lags[2], lags[1], lags[3], lags[4]
    parts = known[best].theta.split([1, p, P, q, Q, c])
    filled = [pad(part, (0, max(size - len(part), 0)))[:size] for part, size in zip(parts, sizes, strict=True)]
    return torch.cat([*filled[:-1], mean[None] if lags[4] and not c else filled[-1]])


def _best(known: dict[Lags, Sketch]) -> Lags:
    return min(known, key=lambda lags: known[lags].aicc)


def _enough(lags: Lags, count: int, season: int) -> bool:
    """Whether so many values can tell these lags; the simplest orders are always tried."""
    p, q, P, Q, c = lags
    return max(p + season * P, q + season * Q) <= count / 3 and (p + q + P + Q + c + 3 <= count or not any(lags[:4]))


def _mean_fits(lags: Lags, differences: int) -> bool:
    """Whether a model with so many differences may have, or go without, its mean."""
    return differences < 2 if lags[4] else differences > 0
