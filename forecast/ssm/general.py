"""Any linear-Gaussian model given by its matrices, as a program of one dense transition.

    x' = F x + B u + c + w, w ~ N(0, Q);   y = H x + D u + d + v, v ~ N(0, R)
Shapes: F, Q (B m m), H (B C m), R (B C) or (B C C); with an axis T after B where they change with time. A row's F and Q
lead into that row. `drive` is B u + c of that transition; what D u + d adds is subtracted from the values beforehand.
Correlated observation noise is made diagonal row by row, R = L Λ L', with missing channels taken out first, as the
univariate treatment needs it (Durbin & Koopman 2012, §6.4.4).
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.ssm.belief import pack
from forecast.ssm.program import Builder, Program


@lru_cache(maxsize=64)
def program_of(size: int, channels: int) -> Program:
    """The program of a model of `size` states and `channels` channels without any structure."""
    b = Builder(channels)
    first = b.states(size)
    b.dense(first, size, b.numbers(size * size))
    for i in range(size):
        for j in range(i, size):
            b.noise(i, j, b.numbers())
    for c in range(channels):
        for i in range(size):
            b.read(i, c, b.numbers())
    noise = b.numbers(channels)
    for c in range(channels):
        b.observation_noise(noise + c, c)
    return b.program()


def coefficients(F: Tensor, Q: Tensor, H: Tensor, R: Tensor) -> Tensor:
    """Coefficients (B K) or (B T K) for `program_of`, of diagonal observation noise R (… C)."""
    return torch.cat([F.flatten(-2), pack(Q), H.flatten(-2), R], -1)


class Decorrelated(NamedTuple):
    """The same observations with independent noise; the log-likelihood is the same."""

    values: Tensor  # (B T C)
    H: Tensor  # (B T C m)
    R: Tensor  # (B T C)


def decorrelate(values: Tensor, H: Tensor, R: Tensor) -> Decorrelated:
    """Observations whose noise has the covariance R (B C C) or (B T C C), with R = L Λ L': L⁻¹ y, L⁻¹ H, Λ."""
    rows, channels = values.shape[1:]
    H = H[:, None].expand(-1, rows, -1, -1) if H.dim() == 3 else H
    R = R[:, None].expand(-1, rows, -1, -1) if R.dim() == 3 else R
    seen = values.isfinite()
    pair = seen[..., :, None] & seen[..., None, :]
    unit = torch.eye(channels, dtype=R.dtype, device=R.device)
    L, noise = _ldl(torch.where(pair, R, unit))
    H = torch.where(seen[..., None], H, 0.0)
    mixed = torch.linalg.solve_triangular(
        L, torch.cat([torch.where(seen, values, 0.0)[..., None], H], -1), upper=False, unitriangular=True
    )
    return Decorrelated(torch.where(seen, mixed[..., 0], torch.nan), mixed[..., 1:], noise)


def _ldl(R: Tensor) -> tuple[Tensor, Tensor]:
    """Unit lower triangle L and diagonal Λ of R = L Λ L', a variance of 0 allowed."""
    channels = R.shape[-1]
    columns, noise, rest = [], [], R
    for c in range(channels):
        d = rest[..., c, c]
        column = rest[..., :, c] / torch.where(d > 0, d, 1.0)[..., None]
        below = torch.arange(channels, device=R.device) > c
        column = torch.where(below, column, (torch.arange(channels, device=R.device) == c).to(R.dtype))
        rest = rest - d[..., None, None] * column[..., :, None] * column[..., None, :]
        columns.append(column)
        noise.append(d)
    return torch.stack(columns, -1), torch.stack(noise, -1)
