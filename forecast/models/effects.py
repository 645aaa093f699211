"""Effects of known inputs on each lane, by least squares on differences between successive observed values.

    y_t - y_s = β (u_t - u_s) + e,   s the last observed row before t;   β = (Σ Δu Δu' + δ diag)⁻¹ Σ Δu Δy

Differences, because the rest of y may wander; δ, because a short lane must not explain itself by its inputs. An input
that never changes has no effect. Shapes: values (B T C), inputs (B T K), effects (B C K).
"""

import torch
from torch import Tensor

from forecast.models.walk import latest
from forecast.types import Past

DAMPING = 0.01  # this part of the diagonal is added to it


def effects_of(past: Past) -> Tensor:
    """Effects (B C K) of the inputs of `past`."""
    values, inputs = past.values.double(), past.inputs.double()
    batch, rows, channels = values.shape
    effects = values.new_zeros(batch, channels, inputs.shape[2])
    if inputs.shape[2] == 0 or rows < 2:
        return effects
    before = latest(values.isfinite(), 1)[:, :-1]
    for channel in range(channels):
        index = before[:, :, channel]
        rise = values[:, 1:, channel] - values[:, :, channel].gather(1, index)
        change = inputs[:, 1:] - inputs.gather(1, index[..., None].expand(-1, -1, inputs.shape[2]))
        known = rise.isfinite()
        change, rise = torch.where(known[..., None], change, 0.0), torch.where(known, rise, 0.0)
        gram = change.transpose(1, 2) @ change
        diagonal = gram.diagonal(dim1=1, dim2=2)
        damped = gram + torch.diag_embed(torch.where(diagonal > 0, DAMPING * diagonal, 1.0))
        effects[:, channel] = torch.linalg.solve(damped, (change.transpose(1, 2) @ rise[..., None])[..., 0])
    return effects
