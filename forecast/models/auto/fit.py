"""Fits of one form to many lanes at once, and how they would have forecast the last rows.

A lane is one channel of one series, (n T), NaN = missing, ends aligned on the right.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.models.auto.bank import Form, drift_of, on_scale, position, profile_of, standardised, unprofiled
from forecast.ssm.belief import Belief
from forecast.ssm.fit import Objective, minimise
from forecast.ssm.kalman import advance, ahead, loglik
from forecast.ssm.structural import LONGEST, Structural


class Fit(NamedTuple):
    """Parameters of a form on lanes, and the scale they are meant on."""

    theta: Tensor  # (n P)
    drift: Tensor  # (n)
    loc: Tensor  # (n)
    spread: Tensor  # (n)
    profile: Tensor  # (n M)
    loglik: Tensor  # (n) of the values as they are, not on the form's scale


class Tried(NamedTuple):
    """Forecasts of the last rows made from the rows before, at several origins, on the form's scale."""

    mean: Tensor  # (n W H)
    variance: Tensor  # (n W H)
    actual: Tensor  # (n W H) as it is, NaN past the end


def fit(form: Form, y: Tensor, start: Tensor | None = None, both: bool = False) -> Fit:
    """Maximum likelihood, climbed from `start` (n P) or from the model's own starting point."""
    z = on_scale(form, y)
    at, profile = position(y), profile_of(form, z)
    x, loc, spread = standardised(unprofiled(z, at, profile))
    drift = drift_of(x) if form.model.trend == "drift" else x.new_zeros(len(x))
    starts = form.model.starts(len(x), x) if start is None else [start]
    count = x.isfinite().sum(1)
    low, high = form.model.bounds(x)
    objective = _objective(form.model, x, count, drift)
    ends = [minimise(objective, one, low, high, 40, 1e-6) for one in (starts if both else starts[:1])]
    best = torch.stack([end.value.nan_to_num(torch.inf) for end in ends]).argmin(0)
    lane = torch.arange(len(x))
    theta, value = (
        torch.stack([end.x for end in ends])[best, lane],
        torch.stack([end.value for end in ends])[best, lane],
    )
    jacobian = torch.where(y.isfinite(), y, 1.0).log().sum(1) if form.logarithm else 0.0
    return Fit(theta, drift, loc, spread, profile, -value * count - count * spread.log() - jacobian)


def _objective(model: Structural, x: Tensor, count: Tensor, drift: Tensor) -> Objective:
    """Mean negative log-likelihood of lanes (n T) and its derivatives by the parameters."""
    before = Belief(*[leaf.T.contiguous() for leaf in model.start(len(x), x, x.new_zeros(len(x), model.parameters), drift)])

    def objective(theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        mean, covariance, diffuse, tally = [leaf[:, rows].T for leaf in before]
        coefs = model.coefficients(theta)
        if model.memory:
            rho, noise = LONGEST * theta[:, -1].tanh(), coefs[:, model.variances - 1]
            covariance[:, model.place] = noise / (1 - rho.square())
        with torch.enable_grad():
            asked = coefs.requires_grad_(), covariance.requires_grad_()
            found = loglik(model.program, coefs, Belief(mean, covariance, diffuse, tally), x[rows, :, None])
            by_coefs, by_covariance = torch.autograd.grad(found.sum(), asked)
        scale = -1 / count[rows]
        return scale * found.detach(), scale[:, None] * model.slope(theta, coefs.detach(), by_coefs, by_covariance)

    return objective


def begin(form: Form, fitted: Fit) -> tuple[Tensor, Belief]:
    """Coefficients and the belief before the first row."""
    return form.model.coefficients(fitted.theta), form.model.start(
        len(fitted.theta), fitted.theta, fitted.theta, fitted.drift
    )


def tried(form: Form, fitted: Fit, y: Tensor, origins: list[int], horizon: int) -> Tried:
    """Forecasts from the rows before each origin (rising, rows of y)."""
    rows = y.shape[1]
    at = position(y)
    z = on_scale(form, y)
    x = (unprofiled(z, at, fitted.profile) - fitted.loc[:, None]) / fitted.spread[:, None]
    coefs, belief = begin(form, fitted)
    program, here, made = form.model.program, 0, []
    lead = torch.arange(horizon)
    for origin in origins:
        belief = advance(program, coefs, belief, x[:, here:origin, None]).belief
        here = origin
        mean, variance = ahead(program, coefs, belief, horizon)
        slot = (at[:, origin - 1 : origin] + 1 + lead) % fitted.profile.shape[1]
        center = fitted.loc[:, None] + fitted.spread[:, None] * mean[..., 0] + fitted.profile.gather(1, slot)
        actual = torch.nn.functional.pad(
            y[:, origin : origin + horizon], (0, max(origin + horizon - rows, 0)), value=torch.nan
        )
        made.append((center, variance[..., 0] * fitted.spread[:, None].square(), actual))
    return Tried(*[torch.stack(parts, 1) for parts in zip(*made, strict=True)])
