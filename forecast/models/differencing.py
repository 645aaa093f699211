"""How often a series has to be differenced before an ARMA model is fitted to it.

D = 1 where the seasonal strength max(0, 1 - Var(rest) / Var(season + rest)) exceeds 0.64; d from repeated KPSS tests at 5 %.
Source: Hyndman & Khandakar (2008), J. Stat. Software 27(3), §3.1; Wang, Smith & Hyndman (2006) for the strength.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.models.auto.bank import by_position, centred, position

REJECTED = 0.463  # the KPSS statistic at 5 %
STRONG = 0.64  # seasonal strength from which a seasonal difference is taken

Vector = NDArray[np.float64]


def strength(y: Tensor, season: int) -> Tensor:
    """Seasonal strength (n) of lanes (n T), NaN = missing: season = mean by position of what a centred mean of a season leaves."""
    at = position(y)
    inner = y - centred(y, season)
    rest = inner - by_position(inner, at, season)[0]
    return (1 - _variance(rest) / _variance(inner).clamp(min=1e-300)).clamp(min=0)


def differenced(y: Tensor, d: int, D: int, season: int) -> Tensor:
    """(1-L)^d (1-L^s)^D of lanes (n T), missing where a part of it is."""
    for lag in [season] * D + [1] * d:
        y = torch.cat([torch.full_like(y[:, :lag], torch.nan), y[:, lag:] - y[:, :-lag]], 1)
    return y


def differences(z: Vector, most: int) -> int:
    """How often to difference until a KPSS test no longer rejects a constant level at 5 %."""
    for d in range(most):
        if np.ptp(z) <= 1e-9 or kpss(z, int(4 * (len(z) / 100) ** 0.25)) < REJECTED:
            return d
        z = np.diff(z)
    return most


def kpss(z: Vector, lags: int) -> float:
    """Kwiatkowski, Phillips, Schmidt & Shin (1992): Σ S_t² / (n² s²), S the partial sums about the mean."""
    e, n = z - z.mean(), len(z)
    weights = 1 - np.arange(1, lags + 1) / (lags + 1)
    long_run = e @ e + 2 * sum(w * (e[k:] @ e[:-k]) for k, w in enumerate(weights, 1))
    return float((e.cumsum() ** 2).sum() / (n * long_run))


def _variance(y: Tensor) -> Tensor:
    return (y - y.nanmean(1, keepdim=True)).square().nanmean(1).nan_to_num(0.0)
