"""What a fitted structural model says of a series: components with their uncertainty, innovations, auxiliary residuals.

    components   E and standard deviation of every part of y given all rows (fixed-interval smoother)
    innovation   (y_t - ŷ_t) / √F_t, from the rows before alone
    observation, level   expected noise of the observation and of the level given all rows, over its standard deviation:
                 a large one is an outlier, or a shift of the level (Harvey & Koopman 1992; Durbin & Koopman 2012, §7.5)
Rows before the first observed value are NaN. Shapes: T rows, N components.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.ssm.belief import Belief
from forecast.ssm.kalman import advance
from forecast.ssm.smoother import smooth
from forecast.ssm.structural import Structural


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


def parts_of(
    model: Structural, belief: Belief, x: Tensor, loc: Tensor, spread: Tensor, coefs: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Means and deviations (T N) in units of the data, and three series of residuals (T), of one lane x (1 T).

    A level is given with its location; every other component without.
    """
    program = model.program
    filtered = advance(program, coefs, belief, x[..., None])
    innovation = (x - filtered.mean[..., 0]) / filtered.variance[..., 0].sqrt()
    made = smooth(program, coefs, belief, x[..., None])
    means, deviations = [], []
    for _, states in model.components:
        means.append(made.mean[0][:, states].sum(-1))
        block = made.covariance[0][:, states][:, :, states]
        deviations.append(block.sum((-2, -1)).clamp(min=0).sqrt())
    mean, deviation = torch.stack(means, -1) * spread, torch.stack(deviations, -1) * spread
    mean[:, 0] += loc
    usable = torch.where(innovation.isfinite(), innovation, math.nan)
    level = made.process_residual[0, :, 0]
    return mean, deviation, usable[0], made.observation_residual[0, :, 0], level


def facts(model: Structural, theta: Tensor, spread: Tensor) -> tuple[tuple[str, str], ...]:
    """Standard deviations of the noises in units of the data, and half-lives in rows, of parameters (P)."""
    coefs = model.coefficients(theta[None])[0]
    names = ["observation"] + ["level"] * model.moving + ["slope"] * model.sloped
    for season in model.seasons:
        names += [f"season {season.length}"] + [f"growth of season {season.length}"] * (season.growth > 0)
    names += ["cycle"] * model.cycles + ["memory"] * model.memory
    said = [(f"noise of the {name}", f"{float(v.sqrt() * spread):.4g}") for name, v in zip(names, coefs, strict=False)]
    at = model.variances
    if model.trend == "damped":
        said.append(("damping φ", _half_life(float(coefs[at]))))
        at += 1
    if model.memory:
        said.append(("memory ρ", _half_life(float(coefs[at]))))
    if model.cycle:
        rho, frequency = (float(x) for x in model.cycle.held(model.of_cycle(theta[None])))
        said += [("period of the cycle", f"{2 * math.pi / frequency:.4g} rows"), ("damping ρ of the cycle", _half_life(rho))]
    return tuple(said)


def _half_life(factor: float) -> str:
    """A factor per row, and after how many rows half is left."""
    if 0 < factor < 1:
        return f"{factor:.4g}, half-life {math.log(0.5) / math.log(factor):.3g} rows"
    return f"{factor:.4g}"
