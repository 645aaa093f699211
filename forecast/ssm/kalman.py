"""Kalman filter, likelihood and forecasts of a program for many series at once, by one of two engines.

    x' = G x + u + w,  y = H x + v   (u: drive, added to the mean after each transition)
Shapes: coefs (B K) or (B T K); values (B T C), NaN = missing; drive (B T m) or (B 0 m).
`numba` is compiled, for float64 on a CPU; `torch` is its twin, for any device. None takes the first that can serve.
The likelihood is exact diffuse and counts -½ log 2π for every observation, diffuse ones too (Durbin & Koopman 2012,
§7.2.5; statsmodels with use_exact_diffuse=True); R's KFAS leaves that constant out for the diffuse ones.
"""

import logging
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.errors import unknown
from forecast.kernels.jit import AVAILABLE
from forecast.ssm import compiled, dense
from forecast.ssm.belief import Belief, series_innermost
from forecast.ssm.program import Program

ENGINES = ("numba", "torch")
_log = logging.getLogger("forecast")
_told: set[str] = set()


class Filtered(NamedTuple):
    """The belief after T rows, their likelihood, and the forecast of each value from the rows before and the channels before it."""

    belief: Belief
    loglik: Tensor  # (B)
    mean: Tensor  # (B T C)
    variance: Tensor  # (B T C), infinite where the forecast is still diffuse


def engine_for(engine: str | None, tensor: Tensor) -> str:
    """The engine that will run, said once in the log."""
    if engine is not None and engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    able = AVAILABLE and tensor.device.type == "cpu" and tensor.dtype == torch.float64
    chosen = engine or ("numba" if able else "torch")
    if chosen not in _told:
        _told.add(chosen)
        _log.info("Kalman engine: %s", chosen)
    return chosen


def advance(
    program: Program,
    coefs: Tensor,
    belief: Belief,
    values: Tensor,
    drive: Tensor | None = None,
    dof: float = 0.0,
    engine: str | None = None,
) -> Filtered:
    """The belief after more rows; dof > 0 weighs observations as if their noise were Student-t of that many degrees."""
    push = values.new_zeros(len(values), 0, program.size) if drive is None else drive
    run = compiled.filter_rows if engine_for(engine, values) == "numba" else dense.filter_rows
    return Filtered(*run(program, coefs, belief, values, push, dof, True))


def foreseen(
    program: Program,
    coefs: Tensor,
    belief: Belief,
    values: Tensor,
    drive: Tensor | None = None,
    engine: str | None = None,
) -> Filtered:
    """As `advance`, every forecast from the rows before alone, none from the other channels of its own row."""
    C = program.channels
    if C == 1:
        return advance(program, coefs, belief, values, drive, engine=engine)
    head, low, high = belief.tally.split([2, C, C], 1)
    wide = belief._replace(tally=torch.cat([head, low, low, high, high], 1))
    both = torch.cat([torch.full_like(values, torch.nan), values], 2)
    made = advance(program.foreseeing, coefs, wide, both, drive, engine=engine)
    head, _, low, _, high = made.belief.tally.split([2, C, C, C, C], 1)
    after = made.belief._replace(tally=series_innermost(torch.cat([head, low, high], 1)))
    return Filtered(after, made.loglik, made.mean[..., :C], made.variance[..., :C])


def loglik(
    program: Program,
    coefs: Tensor,
    belief: Belief,
    values: Tensor,
    drive: Tensor | None = None,
    engine: str | None = None,
) -> Tensor:
    """Log-likelihood (B) of the rows from a fresh belief.

    Differentiable by coefs, mean and covariance of the belief, values and drive.
    """
    push = values.new_zeros(len(values), 0, program.size) if drive is None else drive
    if engine_for(engine, values) == "numba":
        result: Tensor = compiled.Likelihood.apply(program, coefs, *belief, values, push)  # type: ignore[no-untyped-call]
        return result
    return dense.filter_rows(program, coefs, belief, values, push, 0.0, False)[1]


def score(program: Program, coefs: Tensor, belief: Belief, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-likelihood (B) from a fresh belief, and its derivatives by coefs (B K) or (B T K) and the belief's covariance (B N)."""
    if engine_for(None, values) == "numba":
        return compiled.score(program, coefs, belief, values)
    with torch.enable_grad():
        asked = coefs.detach().requires_grad_(), belief.covariance.detach().requires_grad_()
        found = loglik(program, asked[0], belief._replace(covariance=asked[1]), values)
        by_coefs, by_covariance = torch.autograd.grad(found.sum(), asked)
    return found.detach(), by_coefs, by_covariance


def ahead(
    program: Program,
    coefs: Tensor,
    belief: Belief,
    horizon: int,
    drive: Tensor | None = None,
    engine: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and variance (B H C) of the next rows: the filter over rows in which everything is missing."""
    channels = program.channels
    future = belief.mean.new_full((len(belief.mean), horizon, channels), torch.nan)
    made = advance(program, coefs, belief, future, drive, engine=engine)
    return made.mean, made.variance
