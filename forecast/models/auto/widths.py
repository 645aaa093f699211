"""How much wider the intervals of one chosen form are made, at the first and at the last of `horizon` leads:

    w = (1 + 5/n) c  …  (1 + 13/n) c,    n observed values
for parameters and the form itself are estimates: the rule of `forecast.models.auto.choose`, its constants settled there. c compares errors on
held-out rows with what the model expected of them, at the nearer and at the further leads, drawn towards 1: the form that was
chosen is fitted again to the rows before the last v and forecasts from up to seven origins. That the form itself was chosen on all rows
makes c a little too small.
Shapes: a lane is one channel of one series, (n T).
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from forecast.models.auto.bank import on_scale
from forecast.models.auto.choose import CLASS, DOUBT, NARROW, WIDE, Chosen
from forecast.models.auto.fit import Fit, Kind
from forecast.ssm.kalman import advance, ahead

Again = Callable[[Kind, Tensor, Fit], Fit]  # a form fitted to fewer rows of some lanes, from what was found on all of them

MOST = 6.0  # |z| beyond which an error counts as this


def widened(bank: Sequence[Kind], chosen: Chosen, y: Tensor, horizon: int, again: Again) -> Tensor:
    """w (n 2) of lanes (n T) that have one form each, those without one 1."""
    size = y.new_zeros(len(y), 4)
    for k, lanes, begin, held in _groups(bank, chosen, y, horizon):
        part = y[lanes, begin:]
        rows = part.shape[1] - held
        fitted = again(bank[k], part[:, :rows], _fit(chosen, bank[k], lanes))
        last = part.shape[1] - max(1, min(horizon // 2, held // 2))
        z = _errors(bank[k], fitted, part, range(rows, last + 1, max(1, held // 6)), horizon)
        halves = [half for half in z.tensor_split([(horizon + 1) // 2], 2) if half.shape[2]] * 2
        mean = [half.nanmean((1, 2)).nan_to_num(0.0) for half in halves[:2]]
        size[lanes] = torch.stack(mean + [half.isfinite().sum((1, 2)).to(z.dtype) for half in halves[:2]], 1)
    few = torch.tensor([NARROW, WIDE], dtype=y.dtype) / y.isfinite().sum(1).clamp(min=8)[:, None]
    return torch.where(chosen.form[:, :1] >= 0, (1 + few) * own(size), 1.0)


def _errors(form: Kind, fit: Fit, y: Tensor, origins: Sequence[int], horizon: int) -> Tensor:
    """|z| (n W H) of the rows of lanes (n T) after each origin, forecast from the rows before it; NaN past the end."""
    x = pad((on_scale(form, y) - fit.loc[:, None]) / fit.spread[:, None], (0, horizon), value=math.nan)
    coefs, belief = form.begin(fit.theta, fit.drift)
    program, here, made = form.model.program, 0, []
    for origin in origins:
        belief = advance(program, coefs, belief, x[:, here:origin, None]).belief
        here = origin
        mean, variance = ahead(program, coefs, belief, horizon)
        made.append((x[:, origin : origin + horizon] - mean[..., 0]).abs() / variance[..., 0].sqrt())
    return torch.stack(made, 1).clamp(max=MOST)


def own(size: Tensor) -> Tensor:
    """c (n 2) of mean |z| at the nearer and at the further leads, and of how many errors these are the means (n 4)."""
    ratio, count = size.tensor_split(2, 1)
    trust = count / 6 / (count / 6 + DOUBT)  # errors over several leads and origins say less than as many that lie apart
    found = trust * (ratio.clamp(min=1e-3) / math.sqrt(2 / math.pi)).log()
    return torch.where(count > 0, found.clamp(-0.5, 1.0), 0.0).exp()


def _groups(bank: Sequence[Kind], chosen: Chosen, y: Tensor, horizon: int) -> Iterator[tuple[int, Tensor, int, int]]:
    """Lanes of one form and of similar length, the row at which the longest begins, and how many of their rows are held out."""
    length = torch.where(y.isfinite().any(1), y.shape[1] - y.isfinite().to(torch.int64).argmax(1), 1)
    kind = (length.double().log() / math.log(CLASS)).floor().to(torch.int64)
    for k, one in sorted(set(zip(chosen.form[:, 0].tolist(), kind.tolist(), strict=True))):
        held = _held_out(math.floor(CLASS**one), horizon, bank[k]) if k >= 0 else 0
        if held:
            lanes = ((chosen.form[:, 0] == k) & (kind == one)).nonzero()[:, 0]
            yield k, lanes, y.shape[1] - int(length[lanes].max()), held


def _held_out(length: int, horizon: int, form: Kind) -> int:
    """Rows at the end that a form is tried on, of a lane of so many rows; 0 where too few would be left to fit it."""
    needed = form.model.rank + 3 * form.model.parameters + 2
    fitting = [held for held in (2 * horizon, horizon, min(horizon, int(0.3 * length))) if length - held >= max(needed, 2 * held)]
    return fitting[0] if fitting else 0


def _fit(chosen: Chosen, form: Kind, lanes: Tensor) -> Fit:
    """What was found on all rows."""
    theta, drift, loc, spread, profile = (leaf[lanes, 0] for leaf in chosen[2:7])
    return Fit(theta[:, : form.model.parameters], drift, loc, spread, profile[:, :1], drift)
