"""Extended and unscented Kalman filter for  x' = f(x) + w,  y = h(x) + v,  w ~ N(0, Q), v ~ N(0, R), batched over
series.

Both in square-root form. An approximation of a function g of x ~ N(a, S S') is its mean and two arrays X, Y with
X X' = S S', Y X' = Cov(g, x), Y Y' = Var g:
    extended    X = S, Y = J S with the Jacobian J of g at a, by forward-mode autograd
    unscented   the weighted differences of the points a, a ± √c S_i with c = max(3, m), whose weights are never
    negative
Prediction: S is the lower factor of [Y  Q^½]. Update: that of [[Y  R^½] [X  0]] = [[L 0] [K L  S]], K the gain; no
downdate. Shapes: a (B m), S (B m m) lower, y (B C), NaN = missing; f: (m) → (m) and h: (m) → (C) of one series.
Source: Särkkä (2013), §5.2 and §5.5; Kailath, Sayed & Hassibi (2000), §12.3 (array form); Julier & Uhlmann (2004).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import jacfwd, vmap

Function = Callable[[Tensor], Tensor]


class Model(NamedTuple):
    """A nonlinear model with additive noise."""

    f: Function
    h: Function
    Q: Tensor  # (m m)
    R: Tensor  # (C C), positive definite


class Moments(NamedTuple):
    """Mean (B m) and lower factor of the covariance (B m m)."""

    mean: Tensor
    factor: Tensor


Approximation = Callable[[Function, Moments], tuple[Tensor, Tensor, Tensor]]


def linearised(g: Function, belief: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, X and Y by the Jacobian at the mean: the extended filter."""
    return vmap(g)(belief.mean), belief.factor, vmap(jacfwd(g))(belief.mean) @ belief.factor


def unscented(g: Function, belief: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, X and Y by sigma points: exact to third order where x is normal."""
    m = belief.mean.shape[-1]
    spread = max(3.0, float(m))
    away = belief.factor.mT * math.sqrt(spread)
    points = torch.cat([torch.zeros_like(away[:, :1]), away, -away], 1)
    weight = torch.full((2 * m + 1,), 0.5 / spread, dtype=away.dtype, device=away.device)
    weight[0] = 1 - m / spread
    image = vmap(vmap(g))(belief.mean[:, None] + points)
    mean = (weight[:, None] * image).sum(1)
    root = weight.sqrt()[:, None]
    return mean, (points * root).mT, ((image - mean[:, None]) * root).mT


def _lower(A: Tensor) -> Tensor:
    """Lower triangle L with L L' = A A' and a diagonal that is not negative."""
    R = torch.linalg.qr(A.mT, mode="r").R
    sign = torch.where(R.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(R.dtype)
    lower: Tensor = (R * sign[..., None]).mT
    return lower


def _root(P: Tensor) -> Tensor:
    """S with P = S S', for a covariance that may be singular."""
    value, vector = torch.linalg.eigh(P)
    root: Tensor = vector * value.clamp(min=0).sqrt()[..., None, :]
    return root


def predict(model: Model, belief: Moments, by: Approximation) -> Moments:
    """The belief one row on."""
    mean, _, Y = by(model.f, belief)
    return Moments(mean, _lower(torch.cat([Y, _root(model.Q).expand(len(Y), -1, -1)], -1)))


def update(model: Model, belief: Moments, y: Tensor, by: Approximation) -> tuple[Moments, Tensor]:
    """The belief after a row, and the log-likelihood (B) of its observed channels."""
    expected, X, Y = by(model.h, belief)
    seen = y.isfinite()
    channels, m = y.shape[-1], X.shape[-2]
    pair = seen[:, :, None] & seen[:, None, :]
    unit = torch.eye(channels, dtype=y.dtype, device=y.device)
    noise = torch.linalg.cholesky(torch.where(pair, model.R, unit))
    top = torch.cat([torch.where(seen[..., None], Y, 0.0), noise], -1)
    L = _lower(torch.cat([top, torch.cat([X, X.new_zeros(len(X), m, channels)], -1)], -2))
    white = torch.linalg.solve_triangular(
        L[:, :channels, :channels], torch.where(seen, y - expected, 0.0)[..., None], upper=False
    )
    after = Moments(belief.mean + (L[:, channels:, :channels] @ white)[..., 0], L[:, channels:, channels:])
    spread = L.diagonal(dim1=-2, dim2=-1)[:, :channels].log().sum(-1)
    return after, -0.5 * (white[..., 0].square().sum(-1) + seen.sum(-1).to(y.dtype) * math.log(2 * math.pi)) - spread


def filter_rows(model: Model, belief: Moments, values: Tensor, by: Approximation) -> tuple[Moments, Tensor]:
    """The belief after values (B T C), given the predicted one of the first row, and the log-likelihood (B)."""
    total = torch.zeros_like(belief.mean[:, 0])
    for t, y in enumerate(values.unbind(1)):
        if t:
            belief = predict(model, belief, by)
        belief, gained = update(model, belief, y, by)
        total = total + gained
    return belief, total
