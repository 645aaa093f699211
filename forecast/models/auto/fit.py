"""Fits of one form to many lanes at once, and how they would have forecast the last rows.

A lane is one channel of one series, (n T), NaN = missing, ends aligned on the right.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import pad

from forecast.models.auto.bank import (
    Form,
    drift_of,
    log_slope,
    on_scale,
    position,
    profile_of,
    standardised,
    turning,
    unprofiled,
)
from forecast.models.auto.known import input_units, regressors
from forecast.models.by_channel import Univariate
from forecast.ssm.belief import Belief
from forecast.ssm.fit import Objective, minimise
from forecast.ssm.kalman import advance, ahead, score
from forecast.ssm.structural import LONGEST, Structural

STEPS, CLOSE = 40, 1e-6  # of a climb to its end: most steps, and the relative gain that ends it
MEMORY = 1 << 23  # coefficients that are laid out at once
SHORT = 6  # bits of a number of rows; shorter lanes go together whatever their length


@runtime_checkable
class Kind(Protocol):
    """A way to see a series, as far as running it goes; see `forecast.models.auto.bank.Form`."""

    @property
    def model(self) -> Univariate: ...

    @property
    def power(self) -> float: ...

    @property
    def profile(self) -> int: ...

    def begin(self, theta: Tensor, drift: Tensor) -> tuple[Tensor, Belief]: ...


class Fit(NamedTuple):
    """Parameters of a form on lanes, and the scale they are meant on."""

    theta: Tensor  # (n P)
    drift: Tensor  # (n)
    loc: Tensor  # (n)
    spread: Tensor  # (n)
    profile: Tensor  # (n M)
    loglik: Tensor  # (n) of the values as they are, not on the form's scale
    inputs: Tensor  # (n 2 K): location and spread of each; K = 0 for a form without regressors


class Tried(NamedTuple):
    """Forecasts of the last rows made from the rows before, at several origins, on the form's scale."""

    mean: Tensor  # (n W H)
    variance: Tensor  # (n W H)
    actual: Tensor  # (n W H) as it is, NaN past the end


class Job(NamedTuple):
    """One form to fit to lanes (n T), from a start (n P) of its own or from the model's."""

    form: Form
    y: Tensor
    start: Tensor | None = None
    inputs: Tensor | None = None  # (n T K), where the form has regressors


def fit(form: Form, y: Tensor, start: Tensor | None = None, inputs: Tensor | None = None) -> Fit:
    """Maximum likelihood of one form."""
    return fits([Job(form, y, start, inputs)])[0]


def fits(jobs: list[Job], steps: int = STEPS, close: float = CLOSE) -> list[Fit]:
    """Those of many forms: lanes of one model climb together, whatever their scale and, if they are short, their length."""
    made = [_prepared(job) for job in jobs]
    together: dict[tuple[Structural, int], list[int]] = {}
    for k, job in enumerate(jobs):
        together.setdefault((job.form.model, max(job.y.shape[1].bit_length(), SHORT)), []).append(k)
    for (model, _), members in together.items():
        longest = max(jobs[k].y.shape[1] for k in members)
        x = torch.cat([pad(made[k][0], (longest - jobs[k].y.shape[1], 0), value=torch.nan) for k in members])
        known = [regressors(made[k][1].inputs, _inputs(jobs[k].form, jobs[k].y, jobs[k].inputs)) for k in members]
        driven = torch.cat([pad(u, (0, 0, longest - u.shape[1], 0)) for u in known])
        theta = torch.cat([made[k][1].theta for k in members])
        count = x.isfinite().sum(1)
        objective = objective_of(model, x, count, torch.cat([made[k][1].drift for k in members]), driven)
        end = minimise(objective, theta, *model.bounds(x), steps, close)
        sizes = [len(jobs[k].y) for k in members]
        for k, best, value in zip(members, end.x.split(sizes), (-end.value * count).split(sizes), strict=True):
            made[k] = made[k][0], made[k][1]._replace(theta=best, loglik=made[k][1].loglik + value)
    return [found for _, found in made]


def _prepared(job: Job) -> tuple[Tensor, Fit]:
    """Values in units of the model, where to start, and what turns the likelihood into that of the values as they are."""
    form, y = job.form, job.y
    z = on_scale(form, y)
    at, profile = position(y), profile_of(form, z)
    x, loc, spread = standardised(unprofiled(z, at, profile))
    drift = drift_of(x, form.share) if form.model.trend == "drift" else x.new_zeros(len(x))
    start = begun(form, y, x) if job.start is None else job.start
    loglik = log_slope(form, y) - x.isfinite().sum(1) * spread.log()
    return x, Fit(start, drift, loc, spread, profile, loglik, input_units(_inputs(form, y, job.inputs), z, spread))


def _inputs(form: Form, y: Tensor, inputs: Tensor | None) -> Tensor:
    """Those that a form has regressors for (n T K)."""
    return y.new_zeros(*y.shape, 0) if inputs is None or not form.model.regressors else inputs


def begun(form: Form, y: Tensor, x: Tensor) -> Tensor:
    """Where a climb begins (n P): a cycle at the period that shows in its series."""
    start, turn = form.model.starts(len(x), x)[0], form.model.cycle
    if turn is not None:
        share = (turn.most / turning(y).clamp(turn.least, turn.most)).log() / turn.span
        start = start.clone()
        form.model.of_cycle(start)[:, 1] = share.clamp(0.02, 0.98).logit()
    return start


def objective_of(model: Structural, x: Tensor, count: Tensor, drift: Tensor, driven: Tensor | None = None) -> Objective:
    """Mean negative log-likelihood of lanes (n T), with regressors (n T K) or none, and its derivatives by the parameters."""
    before = Belief(
        *[leaf.T.contiguous() for leaf in model.start(len(x), x, x.new_zeros(len(x), model.parameters), drift)]
    )

    def asked(theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        mean, covariance, diffuse, tally = [leaf[:, rows].T for leaf in before]
        coefs = model.coefficients(theta)
        if model.memory:
            rho, noise = LONGEST * theta[:, -1].tanh(), coefs[:, model.variances - 1]
            covariance[:, model.place] = noise / (1 - rho.square())
        if model.cycle:
            covariance[:, model.places] = model.cycle_variance(theta)[:, None]
        numbers = coefs if driven is None else model.with_regressors(coefs, driven[rows])
        found = score(model.program, numbers, Belief(mean, covariance, diffuse, tally), x[rows, :, None])
        by_coefs = found[1].sum(1) if numbers.dim() == 3 else found[1]
        scale = -1 / count[rows].to(x.dtype)
        return scale * found[0], scale[:, None] * model.slope(theta, coefs, by_coefs, found[2])

    if driven is None or not model.regressors:
        return asked
    most = max(1, MEMORY // (x.shape[1] * model.program.coefficients))  # every row has coefficients of its own

    def objective(theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        made = [asked(*part) for part in zip(theta.split(most), rows.split(most), strict=True)]
        return torch.cat([value for value, _ in made]), torch.cat([slope for _, slope in made])

    return objective


def tried(form: Form, fitted: Fit, y: Tensor, origins: list[int], horizon: int, inputs: Tensor | None = None) -> Tried:
    """Forecasts from the rows before each origin (rising, rows of y); after the last row inputs stay as they are there."""
    rows = y.shape[1]
    at = position(y)
    z = on_scale(form, y)
    x = (unprofiled(z, at, fitted.profile) - fitted.loc[:, None]) / fitted.spread[:, None]
    coefs, belief = form.begin(fitted.theta, fitted.drift)
    program, here, made = form.model.program, 0, []
    lead = torch.arange(horizon)
    driven = regressors(fitted.inputs, _inputs(form, y, inputs))
    driven = torch.cat([driven, driven[:, -1:].expand(-1, horizon, -1)], 1)
    for origin in origins:
        numbers = form.model.with_regressors(coefs, driven[:, here:origin])
        belief = advance(program, numbers, belief, x[:, here:origin, None]).belief
        here = origin
        numbers = form.model.with_regressors(coefs, driven[:, origin : origin + horizon])
        mean, variance = ahead(program, numbers, belief, horizon)
        slot = (at[:, origin - 1 : origin] + 1 + lead) % fitted.profile.shape[1]
        center = fitted.loc[:, None] + fitted.spread[:, None] * mean[..., 0] + fitted.profile.gather(1, slot)
        actual = pad(y[:, origin : origin + horizon], (0, max(origin + horizon - rows, 0)), value=torch.nan)
        made.append((center, variance[..., 0] * fitted.spread[:, None].square(), actual))
    return Tried(*[torch.stack(parts, 1) for parts in zip(*made, strict=True)])
