"""What a fitted structural model says of a series: components with their uncertainty, innovations, auxiliary residuals.

    components   E and standard deviation of every part of y given all rows (fixed-interval smoother)
    innovation   (y_t - ŷ_t) / √F_t, from the rows before alone
    observation, level   expected noise of the observation and of the level given all rows, over its standard deviation:
                 a large one is an outlier, or a shift of the level (Harvey & Koopman 1992; Durbin & Koopman 2012, §7.5)
An ARIMA model is a sum of nothing that has a name: its one component is what it expected of each row from the rows before.
Rows before the first observed value are NaN. Shapes: T rows, N components.
"""

import cmath
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast.ssm.arima import Arima, stationary
from forecast.ssm.belief import Belief
from forecast.ssm.kalman import advance, foreseen
from forecast.ssm.program import Program, matrices
from forecast.ssm.smoother import smooth
from forecast.ssm.structural import LOWEST, Structural

AHEAD = "one row ahead"  # the component of a model that is no sum
LEVEL = "level"  # told with its location
ROWS, CELLS = 1500, 1 << 25  # at most so many rows, the last ones, and numbers of smoothed covariances, rows × states²


class Components(NamedTuple):
    """One channel of one series."""

    scale: str  # "" = units of the data, else what was taken of them
    names: tuple[str, ...]
    mean: Tensor  # (T N)
    deviation: Tensor  # (T N)
    innovation: Tensor  # (T)
    observation: Tensor  # (T)
    level: Tensor  # (T)
    facts: tuple[tuple[str, str], ...]  # what was estimated, in words
    effects: Tensor | None = None  # (K 2): what one unit of each input adds, and its standard deviation, where the model has inputs


def last_rows(program: Program) -> slice:
    """Those of many rows that are taken apart."""
    return slice(-min(ROWS, max(CELLS // program.size**2, 1)), None)


def parts_of(
    model: Structural, belief: Belief, x: Tensor, loc: Tensor, spread: Tensor, coefs: Tensor, driven: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Means and deviations (T N) in units of the data, and three series of residuals (T), of one lane x (1 T) with regressors (1 T K).

    Of many rows the last, begun from the same belief. A level is given with its location; every other component without. Beside
    them coefficients of the regressors and their deviations (K 2), in units of the data.
    """
    last = last_rows(model.program)
    x, driven = x[:, last], driven[:, last]
    program, coefs = model.program, model.with_regressors(coefs, driven)
    filtered = advance(program, coefs, belief, x[..., None])
    innovation = (x - filtered.mean[..., 0]) / filtered.variance[..., 0].sqrt()
    made = smooth(program, coefs, belief, x[..., None])
    means, deviations = [], []
    for _, states in model.components:
        means.append(made.mean[0][:, states].sum(-1))
        block = made.covariance[0][:, states][:, :, states]
        deviations.append(block.sum((-2, -1)).clamp(min=0).sqrt())
    K = model.regressors
    weight, about = made.mean[0, -1, program.size - K :], made.covariance[0, -1, program.size - K :, program.size - K :]
    if K:  # what never changes is known as well at every row
        means.append(driven[0] @ weight)
        deviations.append(torch.einsum("tk,kj,tj->t", driven[0], about, driven[0]).clamp(min=0).sqrt())
    mean, deviation = torch.stack(means, -1) * spread, torch.stack(deviations, -1) * spread
    mean[:, 0] += loc
    usable = torch.where(innovation.isfinite(), innovation, math.nan)
    level = made.process_residual[0, :, 0]
    effects = torch.stack([weight, about.diagonal().clamp(min=0).sqrt()], -1) * spread
    return (mean, deviation, usable[0], made.observation_residual[0, :, 0], level), effects


def parts_named(model: Structural) -> tuple[str, ...]:
    """Names of the components of `parts_of`."""
    return (*[name for name, _ in model.components], *["inputs"] * (model.regressors > 0))


class Shared(NamedTuple):
    """What channels with a common state are the sum of, in standardised units."""

    names: tuple[str, ...]
    mean: Tensor  # (T C N)
    deviation: Tensor  # (T C N)
    innovation: Tensor  # (T C)
    process_residual: Tensor  # (T m)


def shared_parts(
    program: Program, coefs: Tensor, belief: Belief, y: Tensor, groups: Sequence[tuple[str, Sequence[int]]]
) -> Shared:
    """Parts of one series (1 T C): what each group of states adds to each channel given all rows."""
    made, told = smooth(program, coefs, belief, y), foreseen(program, coefs, belief, y)
    H = matrices(program, coefs)[2][0]
    means, deviations = [], []
    for _, states in groups:
        read, at = H[:, states], list(states)
        means.append(made.mean[0][:, at] @ read.T)
        block = made.covariance[0][:, at][:, :, at]
        deviations.append(torch.einsum("ci,tij,cj->tc", read, block, read).clamp(min=0).sqrt())
    innovation = (y - told.mean)[0] / told.variance[0].sqrt()
    innovation = torch.where(innovation.isfinite() & (told.variance[0] > 0), innovation, math.nan)
    names = tuple(name for name, _ in groups)
    return Shared(names, torch.stack(means, -1), torch.stack(deviations, -1), innovation, made.process_residual[0])


def facts(model: Structural, theta: Tensor, spread: Tensor) -> tuple[tuple[str, str], ...]:
    """Standard deviations of the noises in units of the data, and half-lives in rows, of parameters (P)."""
    coefs = model.coefficients(theta[None])[0]
    names = ["observation"] + ["level"] * model.moving + ["slope"] * model.sloped
    for season in model.seasons:
        names += [f"season {season.length}"] + [f"growth of season {season.length}"] * (season.growth > 0)
    names += ["cycle"] * model.cycles + ["memory"] * model.memory
    said = [("season " + str(one.length), f"{one.harmonics} harmonic{'s' * (one.harmonics > 1)}") for one in model.seasons if one.harmonics]
    for name, log_variance, v in zip(names, theta, coefs, strict=False):
        still = "none" if name == "observation" else "none: it does not move"
        said.append((f"noise of the {name}", still if log_variance < LOWEST + 1 else plain(float(v.sqrt() * spread))))
    at = model.variances
    if model.trend == "damped":
        said.append(("damping φ", half_life(float(coefs[at]))))
        at += 1
    if model.memory:
        said.append(("memory ρ", half_life(float(coefs[at]))))
    if model.cycle:
        rho, frequency = (float(x) for x in model.cycle.held(model.of_cycle(theta[None])))
        said += [("period of the cycle", f"{2 * math.pi / frequency:.4g} rows"), ("damping ρ of the cycle", half_life(rho))]
    return tuple(said)


def expected_by(model: Arima, theta: Tensor, loc: Tensor, spread: Tensor, y: Tensor, regressors: Tensor, scale: str) -> Components:
    """What an ARIMA model (P) expected of each row of y (T) on its scale, and its polynomials with their roots."""
    x = (y - loc) / spread
    belief = model.start(1, theta[None], theta[None])
    coefs = model.with_regressors(model.coefficients(theta[None]), regressors[None])
    made = advance(model.program, coefs, belief, x[None, :, None])
    mean, variance = made.mean[0, :, 0], made.variance[0, :, 0]
    known = variance.isfinite() & (x.isfinite().long().cumsum(0) > 0)
    deviation = torch.where(known, variance.clamp(min=0).sqrt(), math.nan)
    none = torch.full_like(mean, math.nan)
    innovation = torch.where(deviation > 0, (x - mean) / deviation, math.nan)
    said = (("order", model.word), ("noise w", plain(float((theta[0] / 2).exp() * spread))), *lags_of(model, theta))
    level = torch.where(known, loc + spread * mean, math.nan)
    return Components(scale, (AHEAD,), level[:, None], (spread * deviation)[:, None], innovation, none, none, said)


def lags_of(model: Arima, theta: Tensor) -> Iterator[tuple[str, str]]:
    """Weights of the four polynomials, 1 - φ L - … and 1 + θ L + …, each with its inverse roots: how long it remembers, and when it turns."""
    p, q, P, Q = model.order[0], model.order[2], model.seasonal[0], model.seasonal[2]
    parts = theta[None, 1 : 1 + p + P + q + Q].split([p, P, q, Q], 1)
    for letter, part in zip("φΦθΘ", parts, strict=True):
        if not part.shape[1]:
            continue
        rows = model.period if letter in "ΦΘ" else 1
        weights = stationary(part)[0].cpu().numpy()
        shown = weights if letter in "φΦ" else -weights
        yield letter + f", lags of {rows} rows" * (rows > 1), ", ".join(plain(float(w)) for w in shown)
        roots = np.roots([1.0, *-weights])
        yield f"inverse roots of {letter}", "; ".join(_root(complex(z), rows) for z in sorted(roots, key=abs, reverse=True) if z.imag >= 0)
    if model.free:
        yield "mean of the differences, in units of the series' changes", plain(float(theta[-1]))


def _root(z: complex, rows: int) -> str:
    """An inverse root of a polynomial in L^rows: its size, how long it lasts, and its period where it turns."""
    size = abs(z)
    said = plain(z.real) if abs(z.imag) < 1e-9 else f"{plain(z.real)} ± {plain(z.imag)}i"
    if 0 < size < 1:
        said += f" (half-life {plain(math.log(0.5) / math.log(size) * rows, 3)} rows"
        said += f", period {plain(2 * math.pi / cmath.phase(z) * rows, 3)} rows)" if abs(z.imag) >= 1e-9 else ")"
    return said


def nothing(y: Tensor) -> Components:
    """Of a channel (T) that has no model."""
    none = torch.full_like(y, math.nan)
    return Components("", (), none[:, None][:, :0], none[:, None][:, :0], none, none, none, ())


def half_life(factor: float) -> str:
    """A factor per row, and after how many rows half is left."""
    if 0 < factor < 1:
        return f"{plain(factor)}, half-life {plain(math.log(0.5) / math.log(factor), 3)} rows"
    return plain(factor)


def plain(value: float, figures: int = 4) -> str:
    """A few figures without an exponent as far as that is short: `0.01662`, `1,235`, `−0.4`."""
    said = f"{abs(value):,.0f}" if 1000 <= abs(value) < 1e9 else f"{abs(value):.{figures}g}"
    return f"−{said}" if value < 0 else said
