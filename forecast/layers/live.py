"""One more row of every channel through causal scale and bank in one kernel: what both do to a past, at the cost of a live row.

Shapes: values (B C), elapsed (B), moments (B C 9), a bank's state with the axes (B C …); linear features (B·C F). Equal to the torch
forms to rounding; on the CPU alone, and without gradients.
"""

import numpy as np
import torch
from torch import Tensor

from forecast.kernels import fill, live_bank
from forecast.layers.bank import Bank, BankState
from forecast.layers.scale import CausalScale
from forecast.ssm.modes import usable


def able(bank: Bank, values: Tensor) -> bool:
    """Whether the kernel serves here."""
    return usable(bank.spread) and not values.is_meta and values.device.type == "cpu"


def advance(
    scale: CausalScale, bank: Bank, bound: float, values: Tensor, elapsed: Tensor, moments: Tensor, state: BankState
) -> tuple[Tensor, Tensor, BankState]:
    """The bank's linear features, the moments and the bank's state after the row."""
    powers, readout = bank.tables()
    rows, gap = values.reshape(-1, 1).double(), elapsed[:, None].expand(values.shape).reshape(-1, 1).double()
    which = np.zeros(len(rows), np.int64)
    if not bool((elapsed == 1).all()):
        gaps, of = np.unique(fill.between(gap.numpy(), bank.most)[1], return_inverse=True)
        others = torch.stack(bank.modes().power(torch.from_numpy(gaps)), 1)[:, :, 0].to(powers.dtype)
        powers, which = torch.cat([powers, others]), of.reshape(-1) + 1
    after, modes, *rest = (part.clone(memory_format=torch.contiguous_format) for part in (moments, *state))
    features = bank.spread.new_empty(len(rows), bank.linear)
    live_bank.advance(
        rows.numpy(),
        gap.numpy(),
        (scale.half_life, scale.floor),
        (bound, *bank.bend, bank.most),
        after.view(len(rows), -1).numpy(),
        powers.numpy(),
        which,
        readout.numpy(),
        bank.kept.numpy(),
        bank.spread.numpy(),
        modes.view(len(rows), *modes.shape[2:]).numpy(),
        features.numpy(),
        *(part.flatten(0, 1).numpy() for part in rest),
    )
    return features, after, BankState(modes, *rest)
