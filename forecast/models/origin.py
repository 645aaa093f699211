"""What a forecast starts from: distances of earlier seasons from a profile, blended by weights that all series share and gates of each series' own.

    B = argmin Σ w_t |z_t - m_t - Σ_k B_k g_t c_{t,k}|² + λ |B|²   z_t: distances of the next H values from the profile, in spreads, at most ±16

c (… H C K) the distances remembered (K), the mean distance m the last of them, g (… C G) products of the gates, w as in `forecast.models.closed_form`,
B (2 K G) in units of the columns' size in |B|². It has a matrix for leads within a season and one for those beyond, each with the λ of the least squared
error on the validation rows, or 0 where nothing is better. Sums are those of c cᵀ over the leads times g gᵀ: columns are never laid out.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from forecast.layers.scale import Units, whole_spread
from forecast.models.chosen_rows import rows_of
from forecast.types import Past

if TYPE_CHECKING:
    from forecast.models.seasonal_lti import SeasonalLTI

GATES = 9
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


def gates(track: Tensor) -> Tensor:
    """g (… 9) of ρ, κ and ω (… 3)."""
    r, k, w = track.unbind(-1)
    return torch.stack([torch.ones_like(r), r, r * r, k, k * k, r * k, w, w * w, r * w], -1)


def blended(blend: Tensor, distances: Tensor, gate: Tensor, season: int) -> Tensor:
    """Distances from the profile (B P H C) that forecasts start from, of those remembered (B P H C K) and gates (B P C G)."""
    weight = torch.einsum("ikg,bpcg->ibpck", blend, gate)[:, :, :, None]
    weight = torch.cat([weight[..., :-1], 1 + weight[..., -1:]], -1)
    near, beyond = distances[:, :, :season], distances[:, :, season:]
    return torch.cat([(near * weight[0]).sum(-1), (beyond * weight[1]).sum(-1)], 2)


class Sums(NamedTuple):
    """Normal equations of leads within a season and beyond it."""

    square: Tensor  # (2 K·G K·G)
    cross: Tensor  # (2 K·G)

    def plus(self, other: "Sums") -> "Sums":
        """Those of more rows."""
        return Sums(self.square + other.square, self.cross + other.cross)


def fit(model: "SeasonalLTI", pasts: Iterable[tuple[Past, Tensor]]) -> None:
    """Set the blend of the model from pasts, each with how many of its last rows (B) are for validation."""
    sums: tuple[Sums, Sums] | None = None
    with torch.no_grad():
        for past, apart in pasts:
            for made in _rows(model, past, apart):
                sums = made if sums is None else (sums[0].plus(made[0]), sums[1].plus(made[1]))
        model.blend.zero_()
        for i in range(len(model.blend) if sums is not None else 0):
            train, held = (Sums(part.square[i], part.cross[i]) for part in sums or ())
            model.blend[i] = _solve(train, held).view_as(model.blend[i])


def _rows(model: "SeasonalLTI", past: Past, apart: Tensor) -> Iterable[tuple[Sums, Sums]]:
    """Sums of the rows of a past for training and for validation, a stretch of them at a time."""
    horizon, season, bound = model.head.basis.horizon, model.profile.season, model.recipe.outlier
    state = model.initial_state((), past.static)
    track = model.track(state, past)
    units, moments = model.scale.run(track.distance, past.elapsed, state.moments)
    chosen = rows_of(model, past, apart, whole_spread(moments))
    size = horizon * past.values.shape[0] * past.values.shape[2] * (model.blend.shape[1] + 1)
    for some in chosen.places.split(max(1, 4_000_000 // size)):
        there = Units(*(part[:, some, None] for part in units))
        profile, c, g = model.remembered(there, track, some + 1, horizon)
        spread = there.spread.clamp(min=1e-150)
        target = ((past.values.unfold(1, horizon, 1)[:, some + 1].mT - profile - there.loc) / spread).clamp(-bound, bound)
        c = (c / spread[..., None]).clamp(-bound, bound).nan_to_num(nan=0.0)
        c = torch.where(target.isnan()[..., None], 0.0, c)
        weight, training, validation = chosen.weights(there, some)
        each = (weight * training, chosen.validated(weight) * validation)
        train, held = (_sums(c, target.nan_to_num(nan=0.0), g, part, season) for part in each)
        yield train, held


def _sums(c: Tensor, target: Tensor, g: Tensor, weight: Tensor, season: int) -> Sums:
    """Of distances (B P H C K), targets (B P H C), gates (B P C G) and weights (B P C)."""
    gg = torch.einsum("npci,npcj->npcij", g * weight[..., None], g).flatten(0, 2).flatten(1)
    made = []
    for leads in (slice(None, season), slice(season, None)):
        near, z = c[:, :, leads].transpose(2, 3).flatten(0, 2), target[:, :, leads].transpose(2, 3).flatten(0, 2)
        square = ((near.mT @ near).flatten(1).mT @ gg).unflatten(0, (c.shape[-1], -1)).unflatten(2, (g.shape[-1], -1))
        cross = (near.mT @ z[..., None])[..., 0].mT @ (g * weight[..., None]).flatten(0, 2)
        made.append((square.transpose(1, 2).flatten(2).flatten(0, 1), cross.flatten()))
    return Sums(*(torch.stack(part) for part in zip(*made, strict=True)))


def _solve(train: Sums, held: Sums) -> Tensor:
    """Weights (K·G) of the least error on the validation rows, 0 where nothing is better."""
    size = train.square.diagonal()
    found = [torch.zeros_like(size)]
    if float(size.sum()) > 0 and float(held.square.diagonal().sum()) > 0:
        unit = size.clamp(min=1e-12 * float(size.max())).sqrt()
        square = train.square / unit / unit[:, None]
        for penalty in PENALTIES:
            damped = square + penalty * torch.eye(len(unit), dtype=unit.dtype)
            found.append(torch.linalg.solve(damped, train.cross / unit) / unit)
    return min(found, key=lambda each: float(each @ held.square @ each - 2 * held.cross @ each))
