"""From features to the quantiles of every lead, through a basis of functions of the lead: any horizon.

    m_h = Σ_j a_j φ_j(h) + ε v(u_h)     gap_{q,h} = softplus(Σ_j b_{q,j} φ_j(h) + γ_q)      a, b linear in the features

v are functions of the inputs known of that row (`forecast.layers.known`).

The quantile at level q is the median plus (above) or minus (below) the cumulated gaps, times a stretch of that side: quantiles cannot cross. γ makes them
those of a standard normal at the start. φ spans constants, decays, Legendre polynomials, cosines and the harmonics of the
seasons, made orthonormal over the leads 1 … H; polynomials stop at H.
Leads are times from the last row in nominal rows: 1, 2, … on a regular clock.
Shapes: features (… F); lead (H) or (… H); quantiles (… H Q).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from forecast.distribution import LEVELS, Forecast, Quantiles
from forecast.kernels import pinball as kernel
from forecast.layers.known import KnownInputs
from forecast.layers.scale import Units
from forecast.ssm.modes import usable

SHAPES = 8  # leading basis functions that the gaps may use


class LeadBasis(nn.Module):
    """Orthonormal functions of the lead."""

    mix: Tensor
    table: Tensor

    def __init__(self, horizon: int, seasons: Sequence[int], harmonics: int = 12, smallest: float = 0.01) -> None:
        super().__init__()
        self.horizon = horizon
        self.frequencies = tuple(
            sorted(
                {
                    2 * math.pi * k / season
                    for season in seasons
                    if season > 1
                    for k in range(1, min(season // 2, harmonics) + 1)
                }
            )
        )
        raw = self._raw(torch.arange(1, horizon + 1, dtype=torch.float64))
        _, sizes, directions = torch.linalg.svd(raw, full_matrices=False)
        kept = sizes > smallest * sizes[0]
        self.register_buffer("mix", (directions[kept] / sizes[kept, None]).mT * math.sqrt(horizon), persistent=False)
        self.register_buffer("table", raw @ self.mix, persistent=False)

    @property
    def size(self) -> int:
        """Functions in the basis."""
        return self.mix.shape[1]

    def constant(self) -> Tensor:
        """The weights of a function that is 1 at every lead."""
        leads = torch.arange(1, self.horizon + 1, dtype=torch.float64)
        return self.forward(leads).mean(0).float()

    def _raw(self, lead: Tensor) -> Tensor:
        """The functions before they are made orthonormal: (… H n)."""
        position = (lead / self.horizon).clamp(max=1.0)
        x = 2 * position - 1
        decays = [torch.exp(-lead / span) for span in (1.0, 3.0, 10.0, 30.0, 100.0) if span < self.horizon]
        waves = [wave(w * lead) for w in self.frequencies for wave in (torch.cos, torch.sin)]
        cosines = [torch.cos(math.pi * k * position) for k in range(1, 9)]
        return torch.stack([torch.ones_like(lead), x, 1.5 * x.square() - 0.5, *decays, *waves, *cosines], -1)

    def forward(self, lead: Tensor) -> Tensor:
        """φ at the leads: (… H n). Integer leads are looked up and lie within the horizon."""
        if not lead.is_floating_point():
            return self.table[lead - 1]
        return self._raw(lead.double()) @ self.mix.double()


class QuantileHead(nn.Module):
    """Quantiles of all leads: a part that is linear in the first features, with weights of each channel, and a deep part.

    The linear part, the weights of the inputs and the gaps' own shapes are buffers: they are set in closed form and not by gradients. Without it the median
    of every lead is the last value.
    """

    offset: Tensor
    weight: Tensor
    shape: Tensor
    effect: Tensor
    stretch: Tensor

    def __init__(
        self,
        linear: int,
        deep: int,
        channels: int,
        basis: LeadBasis,
        inputs: int = 0,
        levels: Sequence[float] = LEVELS,
        last: int = -1,  # which linear feature is the last value
    ) -> None:
        super().__init__()
        self.basis, self.levels, self.middle = basis, tuple(levels), list(levels).index(0.5)
        self.linear, self.features, self.shapes = linear, linear + deep, min(SHAPES, basis.size)
        weight = torch.zeros(channels, linear, basis.size)
        weight[:, last] = basis.constant()
        self.register_buffer("weight", weight)
        offset = self._offset()
        self.register_buffer("shape", torch.zeros(len(offset), basis.size))
        self.register_buffer("stretch", torch.ones(2))  # below and above the median
        self.median = nn.Linear(deep, basis.size, bias=False) if deep else None
        self.gaps = nn.Linear(deep, len(offset) * self.shapes, bias=False) if deep else None
        for part in (self.median, self.gaps):
            if part is not None:
                nn.init.zeros_(part.weight)
        self.known = KnownInputs(inputs)
        self.register_buffer("effect", torch.zeros(channels, self.known.size))
        learns = inputs and deep
        self.bend = nn.Sequential(nn.Linear(inputs + 8, 32), nn.GELU(), nn.Linear(32, 1)) if learns else None
        if self.bend is not None:
            nn.init.zeros_(self.bend[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.bend[-1].bias)  # type: ignore[arg-type]
        self.context = nn.Linear(self.features, 8) if learns else None
        self.register_buffer("offset", offset.float(), persistent=False)

    def _offset(self) -> Tensor:
        """γ (widths): one for each gap."""
        normal = torch.special.ndtri(torch.tensor(self.levels, dtype=torch.float64)).diff()
        return torch.log(torch.expm1(normal))

    def forward(self, features: Tensor, lead: Tensor, inputs: Tensor) -> Tensor:
        """Quantiles (… C H Q) from features (… C F) and the known inputs (… C H K) of the leads."""
        median, widths = self._said(features, lead, inputs)
        gaps = nn.functional.softplus(widths)
        below = -self.stretch[0] * gaps[..., : self.middle].flip(-1).cumsum(-1).flip(-1)
        above = self.stretch[1] * gaps[..., self.middle :].cumsum(-1)
        return median[..., None] + torch.cat([below, torch.zeros_like(median)[..., None], above], -1)

    def loss(self, said: Tensor, target: Tensor) -> Tensor:
        """What training makes small (…), from what the head says (… P) and the outcomes (…), in units of the scale."""
        return pinball(said, target, self.levels)

    def quantiles(self, said: Tensor) -> Tensor:
        """What the head says as quantiles (… Q)."""
        return said

    def forecast(self, said: Tensor, units: Units, reach: tuple[float, float], seen: Tensor, kind: torch.dtype) -> Forecast:
        """The distribution in data units, of what the head says (… H C P); missing where not `seen` (… H C)."""
        values = units.restore(said, self.middle, reach)
        return Quantiles(torch.where(seen[..., None], values, math.nan).to(kind), self.levels)

    def fit_widths(self, errors: Tensor, phi: Tensor) -> None:
        """Take the gaps from errors (n H) about the median, in units of the scale; φ (H J) at these leads."""
        levels = torch.tensor(self.levels, dtype=errors.dtype)
        found = errors.nanquantile(levels, 0) if len(errors) else errors.new_full((len(levels), len(phi)), math.nan)
        found[self.middle] = 0.0
        gaps = found.diff(dim=0).clamp(min=1e-4).double()
        beyond = torch.log(torch.expm1(gaps)) - self.offset.double()[:, None]
        self.shape.copy_((beyond.nan_to_num(nan=0.0) @ phi / self.basis.horizon).float())

    def _said(self, features: Tensor, lead: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The median (… C H), and the widths before they are made positive (… C H widths)."""
        phi = self.basis(lead).to(features.dtype).mT
        deep = features[..., self.linear :]
        shape = torch.einsum("...cf,cfj->...cj", features[..., : self.linear], self.weight)
        if self.median is not None:
            shape = shape + self.median(deep)
        median = (shape[..., None, :] @ phi)[..., 0, :]
        if self.known.inputs:
            known = self.known.standardise(inputs).to(features.dtype)
            median = median + self.known.weighed(self.effect, known)
            if self.bend is not None and self.context is not None:
                summary = self.context(features)[..., None, :].expand(*inputs.shape[:-1], -1)
                median = median + self.bend(torch.cat([known, summary], -1))[..., 0]
        return median, self._widths(deep, phi) + self.offset

    def _widths(self, deep: Tensor, phi: Tensor) -> Tensor:
        """The widths (… C H widths) before they are made positive, less γ."""
        own = (self.shape @ phi).mT
        if self.gaps is None:
            return own.expand(*deep.shape[:-1], *own.shape[-2:])
        shapes = self.gaps(deep).unflatten(-1, (len(self.shape), self.shapes))
        return own + (shapes @ phi[..., : self.shapes, :]).mT


def pinball(quantiles: Tensor, target: Tensor, levels: Sequence[float]) -> Tensor:
    """Mean pinball loss over the levels: quantiles (… Q), target (…); NaN where the target is missing."""
    level = torch.tensor(levels, dtype=quantiles.dtype, device=quantiles.device)
    if usable(quantiles) and quantiles.dtype == target.dtype:
        made: Tensor = _Pinball.apply(quantiles, target, level)  # type: ignore[no-untyped-call]
        return made
    error = target[..., None] - quantiles
    return torch.maximum(level * error, (level - 1) * error).mean(-1)


class _Pinball(torch.autograd.Function):
    """The kernel with its gradient; targets have none."""

    @staticmethod
    def forward(ctx: Any, quantiles: Tensor, target: Tensor, level: Tensor) -> Tensor:
        rows, y = quantiles.contiguous(), target.contiguous()
        ctx.save_for_backward(rows, y, level)
        loss = torch.empty_like(y)
        kernel.mean(*(part.detach().numpy() for part in (rows.view(-1, len(level)), y.view(-1), level, loss.view(-1))))
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, y, level = ctx.saved_tensors
        made = torch.empty_like(rows)
        parts = (rows.view(-1, len(level)), y.view(-1), level, grads[0].contiguous().view(-1), made.view(-1, len(level)))
        kernel.adjoint(*(part.detach().numpy() for part in parts))
        return made, None, None
