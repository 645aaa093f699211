"""Intervals of trained weights brought back to what they promise, on validation rows: pinball loss alone leaves them too narrow.

    s_q = quantile at level q of (y - m) / (x_q - m)   above the median m, likewise below; of each side the geometric mean over q

x_q is the quantile at level q of a forecast: stretched by s_q a share q of the outcomes lies below it.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from forecast.models.deep import DeepForecaster
from forecast.types import Past, tree_map

ENOUGH = 200  # outcomes on the rows for validation, below which nothing is changed
SAMPLE = 20_000  # of a batch at most
WITHIN = (0.05, 0.95)  # levels that take part
LEAST, MOST = 0.5, 4.0


def fit(model: DeepForecaster, batches: Iterable[Past]) -> None:
    """Set the stretch of the model's head from windows whose last horizon is for validation."""
    head = model.head
    head.stretch.fill_(1.0)
    found: list[Tensor] = []
    with torch.no_grad():
        for batch in batches:
            batch = tree_map(lambda part: part.to(head.stretch.device), batch)
            said, target, seen, _ = model.compared(batch, batch.values.shape[1])
            q = head.quantiles(said)
            middle = q[..., head.middle, None]
            deviation = ((target[..., None] - middle) / (q - middle).abs())[seen]
            found.append(deviation[:: max(1, len(deviation) // SAMPLE)].cpu())
    deviations = torch.cat(found) if found else torch.empty(0, len(head.levels))
    if len(deviations) < ENOUGH:
        return
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for k, level in enumerate(head.levels):
        if k == head.middle or not WITHIN[0] <= level <= WITHIN[1]:
            continue
        above = k > head.middle
        outward = deviations[:, k] if above else -deviations[:, k]
        sides[above].append(outward.quantile(level if above else 1 - level).clamp(LEAST, MOST).log())
    for side, logs in enumerate(sides):
        head.stretch[side] = torch.stack(logs).mean().exp()
