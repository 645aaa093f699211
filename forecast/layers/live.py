"""One more row of every channel through causal scale and bank in one kernel: what both do to a past, at the cost of a live row.

Shapes: values (B C), elapsed (B), moments (B C 9), a bank's state with the axes (B C …); linear features (B·C F). Equal to the torch
forms to rounding; on the CPU alone, and without gradients.
"""

import torch
from torch import Tensor

from forecast.kernels import live_bank
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
    which = elapsed.new_zeros(values.shape, dtype=torch.int64)
    if not bool((elapsed == 1).all()):
        gaps, of = elapsed.unique(return_inverse=True)
        powers = torch.stack(bank.modes().power(gaps), 1)[:, :, 0].to(powers.dtype)
        which = of[:, None].expand(values.shape).contiguous()
    rows, gap = values.reshape(-1, 1).double(), elapsed[:, None].expand(values.shape).reshape(-1, 1).double()
    after, modes, last, age = (
        part.clone(memory_format=torch.contiguous_format) for part in (moments, state.modes, state.last, state.age)
    )
    features = bank.spread.new_empty(len(rows), bank.linear)
    live_bank.advance(
        rows.numpy(),
        gap.numpy(),
        (scale.half_life, scale.floor),
        (bound, bank.fading),
        after.view(len(rows), -1).numpy(),
        powers.numpy(),
        which.view(-1).numpy(),
        readout.numpy(),
        bank.kept.numpy(),
        bank.spread.numpy(),
        modes.view(len(rows), *modes.shape[2:]).numpy(),
        last.view(-1).numpy(),
        age.view(-1).numpy(),
        features.numpy(),
    )
    return features, after, BankState(modes, last, age)
