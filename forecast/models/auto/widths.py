"""How much wider the intervals of one chosen form are made: for parameters that are estimates, and by held-out errors.

    w² = (n + k) / (n - k),  k parameters fitted to n values (Akaike's final prediction error: the mean squared error of one step
         by a model whose k parameters were fitted, over the variance that maximum likelihood says)
    w at the first and at the last of `horizon` leads = that, times c of the nearer and of the further leads
c compares errors on held-out rows with what the model expected of them, drawn towards 1: the chosen form is fitted again to the rows
before the last v and forecasts from up to seven origins, as in `forecast.models.auto.choose`.
Source: Akaike (1969), Fitting autoregressive models for prediction, Ann. Inst. Stat. Math. 21. Shapes: a lane is one channel of one series, (n T).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from forecast.models.auto.bank import on_scale
from forecast.models.auto.choose import CLASS, DOUBT, Chosen
from forecast.models.auto.fit import Fit, Kind, tried

Again = Callable[[Kind, Tensor, Fit], Fit]  # a form, fewer rows of some lanes, and what was found on all of them

MOST = 6.0  # |z| beyond which an error counts as this


def widened(bank: Sequence[Kind], chosen: Chosen, y: Tensor, horizon: int, again: Again) -> Tensor:
    """w (n 2) of lanes (n T) with one form each, at the first and at the last lead."""
    count = y.isfinite().sum(1)
    size = y.new_zeros(len(y), 4)
    for k, lanes, held in _groups(bank, chosen, y, horizon):
        form = bank[k]
        begin = int(y[lanes].isfinite().any(0).to(torch.int64).argmax())
        part = y[lanes, begin:]
        rows = part.shape[1] - held
        fitted = again(form, part[:, :rows], _fit(chosen, form, lanes))
        stop = part.shape[1] - max(1, min(horizon // 2, held // 2))
        origins = list(range(rows, stop + 1, max(1, held // 6)))
        made = tried(form, fitted, part, origins, horizon)  # type: ignore[arg-type]
        z = ((on_scale(form, made.actual.flatten(1)).reshape(made.actual.shape) - made.mean).abs() / made.variance.sqrt()).clamp(max=MOST)
        near, far = z.tensor_split([(horizon + 1) // 2], 2)
        parts = (near, far if horizon > 1 else near)
        size[lanes] = torch.stack(
            [part.nanmean((1, 2)).nan_to_num(0.0) for part in parts] + [part.isfinite().sum((1, 2)).to(z.dtype) for part in parts], 1
        )
    parameters = torch.tensor([form.model.parameters for form in bank])[chosen.form[:, 0].clamp(min=0)]
    return few(count, parameters)[:, None] * own(size)


def few(count: Tensor, parameters: Tensor) -> Tensor:
    """w (n) for parameters that were fitted to so many values."""
    n = torch.maximum(count, 2 * parameters + 2).double()
    return ((n + parameters) / (n - parameters)).sqrt()


def own(size: Tensor) -> Tensor:
    """c (n 2) of mean |z| at the nearer and at the further leads, and of how many errors these are the mean (n 4)."""
    ratio, count = size.tensor_split(2, 1)
    trust = count / 6 / (count / 6 + DOUBT)  # errors from several origins over several leads say less than as many apart
    found = trust * (ratio.clamp(min=1e-3) / math.sqrt(2 / math.pi)).log()
    return torch.where(count > 0, found.clamp(-0.5, 1.0), 0.0).exp()


def _groups(bank: Sequence[Kind], chosen: Chosen, y: Tensor, horizon: int) -> list[tuple[int, Tensor, int]]:
    """Lanes of one form and of similar length, and how many of their rows are held out."""
    length = y.shape[1] - y.isfinite().to(torch.int64).argmax(1)
    kind = (length.clamp(min=1).double().log() / math.log(CLASS)).floor().to(torch.int64)
    made = []
    for k in chosen.form[:, 0].unique().tolist():
        for one in kind[chosen.form[:, 0] == k].unique().tolist() if k >= 0 else []:
            lanes = ((chosen.form[:, 0] == k) & (kind == one)).nonzero()[:, 0]
            shortest = math.floor(CLASS**one)
            held = _held_out(shortest, horizon, bank[k])
            if held:
                made.append((k, lanes, held))
    return made


def _held_out(length: int, horizon: int, form: Kind) -> int:
    """Rows at the end that a form is tried on, of a lane of so many rows; 0 where too few would be left to fit it."""
    needed = form.model.rank + 3 * form.model.parameters + 2
    for held in (2 * horizon, horizon, int(0.3 * length)):
        if held <= horizon * 2 and length - held >= max(needed, 2 * held):
            return held
    return 0


def _fit(chosen: Chosen, form: Kind, lanes: Tensor) -> Fit:
    """What was found on all rows."""
    theta, drift, loc, spread, profile = (leaf[lanes, 0] for leaf in chosen[2:7])
    return Fit(theta[:, : form.model.parameters], drift, loc, spread, profile[:, :1], drift)
