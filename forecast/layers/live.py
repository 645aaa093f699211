"""One more row of every channel through causal scale and bank in one kernel: what both do to a past, at the cost of a live row.

Shapes: values (B C), elapsed (B), moments (B C 9), a bank's state with the axes (B C …); linear features (B·C F). Equal to the torch
forms to rounding; on the CPU alone, and without gradients.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels import fill, live_bank
from forecast.layers.bank import Bank, BankState
from forecast.layers.sampled import Sampled, SampledState
from forecast.layers.scale import CausalScale
from forecast.ssm.modes import usable


def able(bank: Bank, values: Tensor) -> bool:
    """Whether the kernel serves here."""
    return usable(bank.spread) and not values.is_meta and values.device.type == "cpu"


def advance(
    scale: CausalScale, bank: Bank, bound: float, values: Tensor, elapsed: Tensor, moments: Tensor, state: BankState
) -> tuple[Tensor, Tensor, BankState]:
    """The bank's linear features, the moments and the bank's state after the row."""
    powers, readout, kept, spread = bank.tables()
    rows = values.double().numpy().reshape(-1, 1)
    lanes, gap = len(rows), _by_lane(elapsed, values.shape[1])[:, None]
    which = np.zeros(lanes, np.int64)
    if not (gap == 1).all():
        gaps, of = np.unique(fill.between(gap, bank.most)[1], return_inverse=True)
        others = torch.stack(bank.modes().power(torch.from_numpy(gaps)), 1)[:, :, 0].numpy().astype(powers.dtype)
        powers, which = np.concatenate([powers, others]), of.reshape(-1) + 1
    own = [part.numpy().copy() for part in (moments, *state)]
    after, modes, *rest = (part.reshape(lanes, *part.shape[2:]) for part in own)
    features = np.empty((lanes, len(spread)), spread.dtype)
    unit, bounds = (scale.half_life, scale.floor), (bound, *bank.bend, bank.most)
    live_bank.advance(rows, gap, unit, bounds, after, powers, which, readout, kept, spread, modes, features, *rest)
    made = [torch.from_numpy(part) for part in own]
    return torch.from_numpy(features), made[0], BankState(*made[1:])


def _by_lane(elapsed: Tensor, channels: int) -> NDArray[np.float64]:
    """The time since the row before of every lane (B·C), from that of every series (B)."""
    gap = elapsed.double().numpy()
    return np.ascontiguousarray(gap) if channels == 1 else gap.repeat(channels)


def clock(deep: Sampled, state: SampledState, values: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """`Sampled.clock` of states (B C …), and where a sample is due (B C): nothing where none is."""
    observed, gap = ~np.isnan(values.numpy()), elapsed.double().numpy()[:, None]
    count, since, due = deep.clock(state.count.numpy(), state.since.numpy(), gap, observed)
    some = np.count_nonzero(due) > 0
    return torch.from_numpy(count), torch.from_numpy(since), torch.from_numpy(due) if some else None
