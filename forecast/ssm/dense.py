"""The torch engine: the twin of the compiled filter on whole matrices, on any device, differentiable by autograd.

Same model, same conventions and equal results (1e-10) as `forecast.kernels.kalman`; see there and
`forecast.kernels.update`. Shapes: a (B m); P and D (B m m); one Python loop over rows, none over series. A `Trail`
keeps what the smoothers need.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.kernels.update import TOLERANCE
from forecast.ssm.belief import Belief, pack, unpack
from forecast.ssm.program import Program, matrices


class Update(NamedTuple):
    """One channel's update of one row; all (B …)."""

    H: Tensor  # (B m)
    R: Tensor  # (B)
    v: Tensor  # (B), 0 where missing
    M: Tensor  # (B m)
    F: Tensor  # (B)
    seen: Tensor  # (B) 1 where something was learnt
    M_diffuse: Tensor
    F_diffuse: Tensor
    diffuse: Tensor  # (B) 1 where the diffuse branch was taken


class Step(NamedTuple):
    """One row of the trail."""

    F: Tensor  # transition into this row (B m m)
    Q: Tensor
    mean: Tensor  # predicted (B m)
    covariance: Tensor  # (B m m)
    diffuse: Tensor  # (B m m)
    started: Tensor  # (B) bool: the transition into this row took place
    filtered: tuple[Tensor, Tensor, Tensor]
    updates: tuple[Update, ...]


Trail = list[Step]


class _Moments(NamedTuple):
    a: Tensor
    P: Tensor
    D: Tensor
    rank: Tensor


def filter_rows(
    program: Program,
    coefs: Tensor,
    belief: Belief,
    values: Tensor,
    drive: Tensor,
    dof: float,
    forecasts: bool,
    trail: Trail | None = None,
) -> tuple[Belief, Tensor, Tensor, Tensor]:
    """The belief after all rows, the likelihood (B), and means and variances (B T C) of each row's forecast."""
    channels = values.shape[2]
    count, low, high = belief.tally[:, 0], belief.tally[:, 2 : 2 + channels], belief.tally[:, 2 + channels :]
    now = _Moments(belief.mean, unpack(belief.covariance), unpack(belief.diffuse), belief.tally[:, 1])
    loglik = torch.zeros_like(count)
    made = []
    pushes = drive.unbind(1) if drive.numel() else [torch.zeros_like(belief.mean)] * values.shape[1]
    for y, push, (F, Q, H, R) in zip(
        values.unbind(1), pushes, matrices_of_rows(program, coefs, values.shape[1]), strict=True
    ):
        started = count > 0
        now = _move(now, started, F, Q, push)
        before = now
        count = count + y.isfinite().any(-1)
        low, high = torch.fmin(low, y), torch.fmax(high, y)
        updates, outcome = [], []
        for y_c, H_c, R_c in zip(y.unbind(-1), H.unbind(-2), R.unbind(-1), strict=True):
            now, gained, update, expected = _update(now, count > 0, y_c, H_c, R_c, dof)
            loglik = loglik + gained
            updates.append(update)
            outcome.append(expected)
        if trail is not None:
            trail.append(Step(F, Q, before.a, before.P, before.D, started, (now.a, now.P, now.D), tuple(updates)))
        made.append(torch.stack([torch.stack(o) for o in outcome], -1))
    tally = torch.cat([count[:, None], now.rank[:, None], low, high], -1)
    after = Belief(now.a, pack(now.P), pack(now.D), tally)
    ahead = torch.stack(made, 2) if forecasts and made else values.new_zeros(2, *values.shape)
    return after, loglik, ahead[0], ahead[1]


def matrices_of_rows(program: Program, coefs: Tensor, rows: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """F, Q, H, R of each row."""
    if coefs.dim() == 2:
        shared = matrices(program, coefs)
        for _ in range(rows):
            yield shared
    else:
        for c in coefs.unbind(1):
            yield matrices(program, c)


def _move(now: _Moments, started: Tensor, F: Tensor, Q: Tensor, push: Tensor) -> _Moments:
    """Transition of the series that have started."""
    a = (F @ now.a[..., None])[..., 0] + push
    P, D = F @ now.P @ F.mT + Q, F @ now.D @ F.mT
    wide = started[:, None, None]
    return _Moments(
        torch.where(started[:, None], a, now.a), torch.where(wide, P, now.P), torch.where(wide, D, now.D), now.rank
    )


def _update(
    now: _Moments, started: Tensor, y: Tensor, H: Tensor, R: Tensor, dof: float
) -> tuple[_Moments, Tensor, Update, tuple[Tensor, Tensor]]:
    """One channel: the belief, the gain in likelihood, the record, and mean and variance of the forecast."""
    a, P, D, rank = now
    expected = (H * a).sum(-1)
    ok = y.isfinite()
    v = torch.where(ok, y, expected) - expected
    M = (P @ H[..., None])[..., 0]
    F = (H * M).sum(-1) + R
    Mi = (D @ H[..., None])[..., 0]
    Fi = (H * Mi).sum(-1)
    open_ = (Fi > TOLERANCE) & (rank > 0)
    variance = torch.where(open_, torch.inf, F)
    if dof > 0:
        F = F + R * ((dof + v**2 / F.clamp(min=1e-300)) / (dof + 1) - 1).clamp(min=0)
    chosen = ok & open_ & started
    usual = ok & ~chosen & (F > 0)
    ok = chosen | usual
    i = torch.where(usual, 1 / torch.where(usual, F, 1.0), 0.0)
    ii = torch.where(chosen, 1 / torch.where(chosen, Fi, 1.0), 0.0)
    K, G = M * i[:, None], Mi * ii[:, None]
    cross = G[:, :, None] * M[:, None, :]
    outer = G[:, :, None] * G[:, None, :]
    P = P - K[:, :, None] * M[:, None, :] + outer * F[:, None, None] - cross - cross.mT
    rank = rank - chosen.to(rank.dtype)
    D = (D - G[:, :, None] * Mi[:, None, :]) * (rank > 0)[:, None, None]
    gained = -0.5 * torch.where(
        ok, torch.where(chosen, Fi, torch.where(usual, F, 1.0)).log() + v**2 * i + math.log(2 * math.pi), 0.0
    )
    update = Update(H, R, v, M, F, ok.to(v.dtype), Mi, Fi, chosen.to(v.dtype))
    return _Moments(a + (K + G) * v[:, None], P, D, rank), gained, update, (expected, variance)
