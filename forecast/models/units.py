"""Location and spread in which a local model sees its series, all series at once."""

import math

import torch
from torch import Tensor


def units(values: Tensor) -> tuple[Tensor, Tensor]:
    """First observed value and typical change between neighbours (n), of values (n T)."""
    values = torch.cat([values, values.new_full((len(values), 1), math.nan)], 1)  # there may be no row at all
    seen = values.isfinite()
    first = seen.to(torch.int64).argmax(1, keepdim=True)
    loc = values.gather(1, first)[:, 0]
    size = (values - loc[:, None]).abs().nan_to_num(0.0).amax(1)
    scaled = (values - loc[:, None]) / torch.where(size > 0, size, 1.0)[:, None]
    change = (scaled[:, 1:] - scaled[:, :-1]).square()
    typical = change.nanmean(1).sqrt().nan_to_num(0.0)
    spread = torch.where(typical > 1e-9, typical, 1.0) * size
    floor = torch.where(loc == 0, 1.0, loc.abs() * 1e-9)
    return loc, torch.where(spread > 0, spread, floor)


def input_units(inputs: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread (B K) of each input since the first observed value (B T C); one that never changes has spread 1."""
    begun = values.isfinite().any(-1).cummax(1).values
    known = torch.where(begun[..., None], inputs, math.nan)
    loc = known.nanmean(1).nan_to_num(0.0)
    spread = (known - loc[:, None]).square().nanmean(1).sqrt()
    return loc, torch.where(spread > 1e-12 * loc.abs(), spread, torch.ones_like(spread))
