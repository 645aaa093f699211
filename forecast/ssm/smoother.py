"""Fixed-interval smoother, disturbance smoother with auxiliary residuals, and simulation smoother, with exact diffuse
start.

Backwards over the trail of the filter, r = r₀ + r₁/κ and N = N₀ + N₁/κ + N₂/κ², channel by channel:
    usual      u = v/F - K'r₀, K = M/F, L = I - K H;            r = H'v/F + L'r,  N = H'H/F + L'N L
    diffuse    G = M∞/F∞, L = I - G H, J = (G F - M) H / F∞;    r₀ = L'r₀,  r₁ = H'v/F∞ + L'r₁ + J'r₀,  N₀ = L'N₀L,
               N₁ = H'H/F∞ + L'N₁L + J'N₀L,  N₂ = -H'H F/F∞² + L'N₂L + L'N₁J + (L'N₁J)' + J'N₀J
               (terms that D would make zero are left out: computed, they would only add their rounding)
    smoothed   x̂ = a + P r₀ + D r₁,  V = P - P N₀ P - D N₁ P - (D N₁ P)' - D N₂ D
    noises     ŵ = Q r₀, Var ŵ = Q N₀ Q;  v̂ = R u, Var v̂ = R² (1/F + K'N₀K)
Source: Durbin & Koopman (2012), §4.4, §4.5, §5.3, §6.4; the simulation smoother is that of Durbin & Koopman (2002).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.ssm import dense
from forecast.ssm.belief import Belief, unpack
from forecast.ssm.dense import Step, Trail, Update
from forecast.ssm.program import Program


class Smoothed(NamedTuple):
    """All (B T …); NaN before a series' first observed row."""

    mean: Tensor  # (B T m)
    covariance: Tensor  # (B T m m)
    process_noise: Tensor  # (B T m): expected noise of the transition into the row
    process_residual: Tensor  # (B T m): the same over its standard deviation; NaN where there is no noise
    observation_noise: Tensor  # (B T C)
    observation_residual: Tensor  # (B T C)


class _Back(NamedTuple):
    r: Tensor
    r1: Tensor
    N: Tensor
    N1: Tensor
    N2: Tensor


def smooth(program: Program, coefs: Tensor, belief: Belief, values: Tensor, drive: Tensor | None = None) -> Smoothed:
    """State and noises of every row given all rows, from a fresh belief."""
    trail: Trail = []
    push = values.new_zeros(len(values), 0, program.size) if drive is None else drive
    dense.filter_rows(program, coefs, belief, values, push, 0.0, False, trail)
    m = program.size
    zero, flat = values.new_zeros(len(values), m, m), values.new_zeros(len(values), m)
    back = _Back(flat, flat, zero, zero, zero)
    rows = []
    for step in reversed(trail):
        noises = []
        for update in reversed(step.updates):
            noises.append(_observation_noise(update, back))
            back = _pass(update, back)
        begun = step.started | torch.stack([u.seen for u in step.updates]).amax(0).bool()
        rows.append(_row(step, back, noises[::-1], begun))
        back = _through(step, back)
    return Smoothed(*[torch.stack(part[::-1], 1) for part in zip(*rows, strict=True)])


def _pass(update: Update, back: _Back) -> _Back:
    """One channel backwards, each series in its own branch."""
    r, r1, N, N1, N2 = back
    H, HH = update.H, update.H[:, :, None] * update.H[:, None, :]
    usual = update.seen * (1 - update.diffuse)
    i = usual / torch.where(usual > 0, update.F, 1.0)
    ii = update.diffuse / torch.where(update.diffuse > 0, update.F_diffuse, 1.0)
    G = update.M * i[:, None] + update.M_diffuse * ii[:, None]
    J = (update.M_diffuse * (ii * update.F)[:, None] - update.M * (update.diffuse)[:, None]) * ii[:, None]
    r0 = _left(G, H, r) + H * (update.v * i)[:, None]
    r1 = _left(G, H, r1) + H * (update.v * ii + (J * r).sum(-1))[:, None]
    NL, N1L, N2L = _right(G, H, N), _right(G, H, N1), _right(G, H, N2)
    NJ, N1J = _times(N, J, H), _times(N1, J, H)
    first = HH * ii[:, None, None] + _both(G, H, N1L) + H[:, :, None] * (J[:, None, :] @ NL)
    crossed = _both(G, H, N1J)
    bent = H[:, :, None] * (J[:, None, :] @ NJ)
    second = -HH * (update.F * ii**2)[:, None, None] + _both(G, H, N2L) + crossed + crossed.mT + bent
    return _Back(r0, r1, HH * i[:, None, None] + _both(G, H, NL), first, second)


def _left(G: Tensor, H: Tensor, r: Tensor) -> Tensor:
    """L'r = r - H'(G'r)."""
    return r - H * (G * r).sum(-1, keepdim=True)


def _right(G: Tensor, H: Tensor, N: Tensor) -> Tensor:
    """N L."""
    return N - (N @ G[..., None]) * H[:, None, :]


def _both(G: Tensor, H: Tensor, X: Tensor) -> Tensor:
    """L'X."""
    return X - H[:, :, None] * (G[:, None, :] @ X)


def _times(N: Tensor, J: Tensor, H: Tensor) -> Tensor:
    """N J H, a matrix whose rows are multiples of H."""
    return (N @ J[..., None]) * H[:, None, :]


def _observation_noise(update: Update, back: _Back) -> tuple[Tensor, Tensor]:
    """Expected noise of one channel, and over its standard deviation; NaN where the channel is missing."""
    usual = update.seen * (1 - update.diffuse)
    i = usual / torch.where(usual > 0, update.F, 1.0)
    ii = update.diffuse / torch.where(update.diffuse > 0, update.F_diffuse, 1.0)
    K = update.M * i[:, None] + update.M_diffuse * ii[:, None]
    u = update.v * i - (K * back.r).sum(-1)
    spread = i + (K * (back.N @ K[..., None])[..., 0]).sum(-1)
    seen = update.seen > 0
    residual = torch.where(seen & (spread > 0), u / spread.clamp(min=1e-300).sqrt(), torch.nan)
    return torch.where(seen, update.R * u, torch.nan), residual


def _row(step: Step, back: _Back, noises: list[tuple[Tensor, Tensor]], begun: Tensor) -> tuple[Tensor, ...]:
    r, r1, N, N1, N2 = back
    a, P, D = step.mean, step.covariance, step.diffuse
    mean = a + (P @ r[..., None] + D @ r1[..., None])[..., 0]
    crossed = D @ N1 @ P
    covariance = P - P @ N @ P - crossed - crossed.mT - D @ N2 @ D
    w = (step.Q @ r[..., None])[..., 0]
    spread = (step.Q @ N @ step.Q).diagonal(dim1=-2, dim2=-1)
    residual = torch.where((spread > 0) & step.started[:, None], w / spread.clamp(min=1e-300).sqrt(), torch.nan)
    w = torch.where(step.started[:, None], w, torch.nan)
    known = begun[:, None]
    return (
        torch.where(known, mean, torch.nan),
        torch.where(known[..., None], covariance, torch.nan),
        w,
        residual,
        torch.stack([n for n, _ in noises], -1),
        torch.stack([n for _, n in noises], -1),
    )


def _through(step: Step, back: _Back) -> _Back:
    """The transition into the row, backwards."""
    F, on = step.F, step.started
    moved = _Back(*[_vector(F, x) for x in back[:2]], *[F.mT @ x @ F for x in back[2:]])
    return _Back(*[torch.where(on.reshape(-1, *[1] * (x.dim() - 1)), y, x) for x, y in zip(back, moved, strict=True)])


def _vector(F: Tensor, x: Tensor) -> Tensor:
    return (F.mT @ x[..., None])[..., 0]


def simulate(
    program: Program,
    coefs: Tensor,
    belief: Belief,
    like: Tensor,
    drive: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """States (B T m) and observations (B T C) drawn from the model, a diffuse start at its mean."""
    batch, rows, channels = like.shape
    of_row = dense.matrices_of_rows(program, coefs, rows)
    x = belief.mean + _draw(unpack(belief.covariance), like, generator)
    states, values = [], []
    for t, (f, q, h, v) in enumerate(of_row):
        if t:
            x = (f @ x[..., None])[..., 0] + _draw(q, like, generator) + (0 if drive is None else drive[:, t])
        noise = torch.randn(batch, channels, dtype=like.dtype, device=like.device, generator=generator) * v.sqrt()
        states.append(x)
        values.append((h @ x[..., None])[..., 0] + noise)
    return torch.stack(states, 1), torch.stack(values, 1)


def _draw(covariance: Tensor, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Normal draws (B m) of a covariance (B m m) that may be singular."""
    value, vector = torch.linalg.eigh(covariance)
    noise = torch.randn(value.shape, dtype=like.dtype, device=like.device, generator=generator)
    drawn: Tensor = (vector @ (value.clamp(min=0).sqrt() * noise)[..., None])[..., 0]
    return drawn


def simulate_smoothed(
    program: Program,
    coefs: Tensor,
    belief: Belief,
    values: Tensor,
    draws: int,
    drive: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws (draws B T m) of the states given all rows of series without leading missing rows: x̂(y) + x⁺ - x̂(y⁺)."""
    many = [x.repeat(draws, *[1] * (x.dim() - 1)) for x in (coefs, values)]
    beliefs = Belief(*[leaf.repeat(draws, 1) for leaf in belief])
    push = None if drive is None else drive.repeat(draws, 1, 1)
    states, drawn = simulate(program, many[0], beliefs, many[1], push, generator)
    drawn = torch.where(many[1].isfinite(), drawn, torch.nan)
    centre = smooth(program, coefs, belief, values, drive).mean.repeat(draws, 1, 1)
    made = centre + states - smooth(program, many[0], beliefs, drawn, push).mean
    return made.reshape(draws, len(values), *made.shape[1:])
