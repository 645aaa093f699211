"""Seasonal ARIMA with regressors as a program: φ(L) Φ(L^s) (1-L)^d (1-L^s)^D (y - x'β) = θ(L) Θ(L^s) w.

The differences are states: y_{t-1} and its first difference, exactly diffuse, and a ring of the last s seasonal differences, so that
a missing value costs nothing but itself. The ARMA part is Harvey's (1989, §3.4.3), its companion matrix a turn of r slots and a few
additions; it starts from its stationary distribution. Without any difference there is a mean, exactly diffuse, or (constant="free")
the differences have a mean c that is a parameter, or (constant="none") they have none.
Parameters θ (B P), all free: log variance of w; partial autocorrelations x / √(1 + x²) of φ, Φ and, with the other sign, of θ, Θ, which keeps
them stationary and invertible (Monahan 1984, Biometrika 71(2)); last c, if it is free. The likelihood is statsmodels' with `use_exact_diffuse=True`.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from forecast.ssm.belief import Belief, fresh
from forecast.ssm.program import Builder, Program

LOWEST, HIGHEST = -18.0, 10.0  # log variance, in units of the series' spread
FARTHEST = 7.0  # x of a partial autocorrelation: 0.99
DOUBLINGS = 14  # of the sum that is the stationary covariance: 16,384 rows


@dataclass(frozen=True)
class Arima:
    """Orders (p, d, q) and (P, D, Q) with its period; regressors with prior N(0, shrinkage); a mean of the differences."""

    order: tuple[int, int, int]
    seasonal: tuple[int, int, int] = (0, 0, 0)
    period: int = 1
    regressors: int = 0
    shrinkage: float = 1.0
    constant: Literal["diffuse", "free", "none"] = "diffuse"  # diffuse: only where there are no differences

    @property
    def word(self) -> str:
        """As people write it."""
        said = "({}, {}, {})".format(*self.order)
        if any(self.seasonal):
            said += "({}, {}, {})".format(*self.seasonal) + f"[{self.period}]"
        return said + " with a mean" * self.free

    @property
    def differences(self) -> int:
        """States of the level and its differences, or of the mean."""
        return max(self.order[1], int(self.order[1] + self.seasonal[1] == 0 and self.constant == "diffuse"))

    @property
    def free(self) -> int:
        """States of a constant that is a parameter."""
        return int(self.constant == "free")

    @property
    def ring(self) -> int:
        """States of the seasonal difference."""
        return self.period * self.seasonal[1]

    @property
    def rank(self) -> int:
        """Diffuse dimensions of the start."""
        return self.differences + self.ring

    @property
    def parameters(self) -> int:
        """Free parameters P."""
        return 1 + self.order[0] + self.order[2] + self.seasonal[0] + self.seasonal[2] + self.free

    @cached_property
    def _lags(self) -> tuple[list[int], list[int]]:
        """Lags at which the AR and the MA polynomial are not 0, lag 0 apart."""
        made = []
        for short, long in ((self.order[0], self.seasonal[0]), (self.order[2], self.seasonal[2])):
            lags = {i + self.period * j for i in range(short + 1) for j in range(long + 1)}
            made.append(sorted(lags - {0}))
        return made[0], made[1]

    @property
    def _slots(self) -> int:
        """States of the ARMA part."""
        ar, ma = self._lags
        return max([1, *ar, *[lag + 1 for lag in ma]])

    @cached_property
    def program(self) -> Program:
        """States: level and differences (or mean), ring, c, ARMA slots, β; coefficients: variances, AR, regressors."""
        b = Builder()
        levels, ring, c = b.states(self.differences), b.states(self.ring), b.states(self.free)
        u = b.states(self._slots)
        moved = [*range(levels, levels + self.order[1])]
        disturbance = [c] * self.free + [u]
        sources = [ring] * bool(self.ring) + disturbance
        for k, level in enumerate(moved):  # the lower ones first, while the higher ones are still of the row before
            for part in [*moved[k + 1 :], *sources]:
                b.add(level, part)
        if self.ring:
            for part in disturbance:
                b.add(ring, part)
            b.shift(ring, self.ring)
        ar, ma = self._lags
        writes = [0, *ma]
        variances = b.numbers(len(writes) * (len(writes) + 1) // 2)
        weights, nothing = b.numbers(len(ar)), b.numbers()
        last = u + self._slots - 1
        if self._slots > 1:
            b.shift(u, self._slots)
        for k, lag in enumerate(ar):
            if u + lag - 1 != last:
                b.add(u + lag - 1, last, weights + k)
        ends = self._slots in ar
        b.multiply(last, weights + ar.index(self._slots) if ends else nothing, fixed=not ends)
        at = variances
        for k, i in enumerate(writes):
            for j in writes[k:]:
                b.noise(u + i, u + j, at)
                at += 1
        for state in [*range(self.differences), *sources]:
            b.read(state)
        for _ in range(self.regressors):
            b.read(b.states(), 0, b.numbers(), fixed=True)
        return b.program()

    def polynomials(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """AR weights a (B La) of x_t = Σ a x_{t-lag} and MA weights b (B Lb) of w_t + Σ b w_{t-lag}."""
        p, q, P, Q = self.order[0], self.order[2], self.seasonal[0], self.seasonal[2]
        ar, seasonal_ar, ma, seasonal_ma = theta[:, 1 : 1 + p + P + q + Q].split([p, P, q, Q], 1)
        a = _product(-stationary(ar), -stationary(seasonal_ar), self.period)
        b = _product(-stationary(ma), -stationary(seasonal_ma), self.period)
        of_ar, of_ma = self._lags
        return -a[:, of_ar], b[:, of_ma]

    def coefficients(self, theta: Tensor) -> Tensor:
        """Coefficients (B K) of parameters (B P), without those of the regressors."""
        a, b = self.polynomials(theta)
        writes = torch.cat([torch.ones_like(theta[:, :1]), b], 1)
        i, j = torch.triu_indices(writes.shape[1], writes.shape[1])
        return torch.cat([theta[:, :1].exp() * writes[:, i] * writes[:, j], a, torch.zeros_like(theta[:, :1])], 1)

    def with_regressors(self, coefs: Tensor, regressors: Tensor) -> Tensor:
        """Coefficients (B T K) of rows with regressors (B T X)."""
        if not self.regressors:
            return coefs
        return torch.cat([coefs[:, None].expand(-1, regressors.shape[1], -1), regressors], -1)

    def start(self, batch: int, like: Tensor, theta: Tensor) -> Belief:
        """The belief before the first row."""
        m, rank = self.program.size, self.rank
        diffuse = like.new_zeros(m, m)
        diffuse[range(rank), range(rank)] = 1.0
        stationary, at = self._covariance(theta), rank + self.free
        after = m - at - self._slots
        covariance = torch.nn.functional.pad(stationary, (at, after, at, after))
        if after:
            prior = like.new_zeros(m, m)
            prior[range(m - after, m), range(m - after, m)] = self.shrinkage
            covariance = covariance + prior
        mean = like.new_zeros(batch, m)
        if self.free:
            mean = torch.cat([mean[:, :rank], theta[:, -1:].expand(batch, 1), mean[:, at:]], 1)
        return fresh(mean, covariance, diffuse, rank=rank)

    def _covariance(self, theta: Tensor) -> Tensor:
        """P = A P A' + R R' σ² (B r r), by doubling: P ← P + A P A', A ← A A."""
        a, b = self.polynomials(theta)
        r = self._slots
        ar, ma = self._lags
        A = torch.zeros_like(theta[:, :1, None]).expand(-1, r, r).clone()
        A[:, range(r - 1), range(1, r)] = 1.0
        A[:, [lag - 1 for lag in ar], 0] += a
        R = torch.cat([torch.ones_like(theta[:, :1]), b], 1)
        place = torch.zeros(1 + len(ma), r, dtype=theta.dtype, device=theta.device)
        place[range(1 + len(ma)), [0, *ma]] = 1.0
        R = R @ place
        made: Tensor = Stationary.apply(A, theta[:, :1, None].exp() * R[:, :, None] * R[:, None, :])  # type: ignore[no-untyped-call]
        return made

    def starts(self, batch: int, like: Tensor) -> list[Tensor]:
        """Two places (B P) to climb from: little memory, and much."""
        p, q, P, Q = self.order[0], self.order[2], self.seasonal[0], self.seasonal[2]
        made = [
            [math.log(0.5)] + [0.3] * p + [0.2] * P + [0.3] * q + [0.8] * Q + [0.0] * self.free,
            [math.log(0.5)] + [1.5] * min(p, 1) + [-0.3] * (p - 1) * (p > 1) + [0.5] * P + [0.8] * q + [0.3] * Q
            + [0.0] * self.free,
        ]
        return [like.new_tensor(theta).expand(batch, -1) for theta in made]

    def bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest parameters (P)."""
        lags = self.parameters - 1 - self.free
        highest = [FARTHEST] * lags + [math.exp(HIGHEST)] * self.free
        return like.new_tensor([LOWEST] + [-most for most in highest]), like.new_tensor([HIGHEST, *highest])


class Stationary(torch.autograd.Function):
    """P = A P A' + Q (B r r) of symmetric Q, by doubling; with G = dL/dP: dL/dQ = S and dL/dA = 2 S A P, S = A' S A + G."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, Q: Tensor) -> Tensor:
        P = _doubled(A, Q)
        ctx.save_for_backward(A, P)
        return P

    @staticmethod
    def backward(ctx: Any, out: Tensor) -> tuple[Tensor, Tensor]:
        A, P = ctx.saved_tensors
        S = _doubled(A.mT, (out + out.mT) / 2)
        return 2 * S @ A @ P, S


def _doubled(A: Tensor, Q: Tensor) -> Tensor:
    """Σ A^k Q A'^k: twice as many terms each time, until they change no digit of any of them."""
    for _ in range(DOUBLINGS):
        more = A @ Q @ A.mT
        Q = Q + more
        if bool((more.abs().amax((1, 2)) <= 1e-18 * Q.abs().amax((1, 2))).all()):
            break
        A = A @ A
    return Q


def stationary(x: Tensor) -> Tensor:
    """Weights (B p) of a stationary autoregression of free numbers (B p): Durbin-Levinson on partial autocorrelations."""
    partial = x / (1 + x.square()).sqrt()
    found = partial[:, :0]
    for k in range(x.shape[1]):
        found = torch.cat([found - partial[:, k : k + 1] * found.flip(1), partial[:, k : k + 1]], 1)
    return found


def _product(short: Tensor, long: Tensor, period: int) -> Tensor:
    """Coefficients (B L) of (1 + Σ short L^i)(1 + Σ long L^(period·j)), lag 0 first."""
    one = short.new_ones(len(short), 1)
    if not long.shape[1]:
        return torch.cat([one, short], 1)
    first, made = torch.cat([one, short], 1), None
    for j, weight in enumerate(torch.cat([one, long], 1).split(1, 1)):
        part = torch.nn.functional.pad(first * weight, (period * j, period * (long.shape[1] - j)))
        made = part if made is None else made + part
    assert made is not None
    return made
