"""Which forms a lane gets, with what weights, and how much wider its intervals are made.

Every form is fitted to the rows before the last v, then forecasts them from several origins, parameters unchanged:

    score = log(mean |error|) + min(1, 100/n) · AICc/(2 n) + 0.2 min(8, 100/n) [no slope],     weight ∝ exp(-6 · score)

both relative to the lane's best form (AICc/(2n) is the logarithm of a one-step error too); on fewer than 40 rows weights are softer,
exp(-4 · score). The last term: few rows do not tell a slope from none, and series that people keep mostly have one. The K best keep their
weights and are fitted to all rows. A form whose forecast leaves the last value by more than three times the largest
change ever seen over as many rows, or the bound of its 90 % interval by more than twelve times, gets no weight beside
one that does not.
Variances are those of the model times w²: parameters are not known exactly, and forms are never true. At lead h of H

    w = (1 + (a + (b - a) (h-1)/(H-1)) / n) · c

a and b are constants; c compares the errors of the held-out rows with what the model expected of them, drawn towards 1,
at the nearer and at the further leads.
Where there are known inputs the K best forms of a lane are fitted and tried again with them, from where they were without: all are then weighed together.
Lanes of similar length go through together; no lane's result depends on another's.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.models.auto.bank import FEW, Bank, Form, aicc, off_scale, on_scale, own_season, usable
from forecast.models.auto.fit import Fit, Job, Kind, Tried, fits, tried
from forecast.ssm.structural import MEAN

SLOTS = 5
TRUST, SHARPNESS, SOFTER = 100.0, 6.0, 4.0
FLAT = 0.2  # what a form without a slope has to be better by, at 100 rows
FLATTEST = 8.0  # how many times that at most, on fewer
NARROW, WIDE = 5.0, 13.0  # a and b
DOUBT = 5.0  # held-out errors that weigh as much as the belief that c is 1
FAR = 3.0
TRIAL, AGAIN = 20, 6  # most steps of a climb on the rows before those held out, and from there on all rows
ROUGH = 1e-5  # the relative gain that ends it
CLASS = 1.25  # lengths that differ by less go through together


class Chosen(NamedTuple):
    """The forms of each lane (n K), -1 where there are fewer, and all that is needed to run them."""

    form: Tensor  # (n K) int64
    weight: Tensor  # (n K)
    theta: Tensor  # (n K P), the first of each form's own count; then the units of its inputs, where it has regressors
    drift: Tensor  # (n K)
    loc: Tensor  # (n K)
    spread: Tensor  # (n K)
    profile: Tensor  # (n K M)
    widen: Tensor  # (n 2): w at the first and at the last lead


def choose(bank: Bank, y: Tensor, horizon: int, seasons: tuple[int, ...], inputs: Tensor | None = None) -> Chosen:
    """Forms, parameters and weights of lanes (n T), with known inputs (n T K) or none."""
    found = empty(bank, len(y), y)
    groups = _groups(bank, y, horizon, seasons, y.new_zeros(*y.shape, 0) if inputs is None else inputs)
    scores = [_none(bank, group) for group in groups]
    _try(bank, groups, scores, horizon)
    if any(form.model.regressors for form in bank):
        groups = [group._replace(tries=_driven(bank, group, one)) for group, one in zip(groups, scores, strict=True)]
        _try(bank, groups, scores, horizon)
    picked = [_picked(bank, group, one) for group, one in zip(groups, scores, strict=True)]
    pairs = [(group, one) for group, (_, ones) in zip(groups, picked, strict=True) for one in ones]
    jobs = [Job(bank[one.k], group.y[one.lanes], one.start, group.inputs[one.lanes]) for group, one in pairs]
    again = iter(fits(jobs, AGAIN, ROUGH))
    for group, (part, ones) in zip(groups, picked, strict=True):
        away = torch.zeros_like(part.weight)
        for one in ones:
            last = next(again)
            _put(part, one.lanes, one.slots, last)
            away[one.lanes, one.slots] = _away(bank[one.k], last, group.y[one.lanes], horizon, group.inputs[one.lanes])
        mild = (away <= FAR) & (part.weight > 0)
        weight = torch.where(mild | ~mild.any(1, keepdim=True), part.weight, 0.0)
        for whole, piece in zip(found, part._replace(weight=weight / weight.sum(1, keepdim=True)), strict=True):
            whole[group.lanes] = piece
    return found


class Group(NamedTuple):
    """Lanes of similar length, which are tried on the same number of rows."""

    lanes: Tensor  # (n) of all
    y: Tensor  # (n T)
    inputs: Tensor  # (n T K)
    held: int  # rows at the end that forms are tried on
    tries: list[tuple[int, Tensor, Tensor | None]]  # forms, which of these lanes they can be fitted to, and where to climb from

    @property
    def rows(self) -> int:
        """Those before the ones held out."""
        return self.y.shape[1] - self.held


class Scores(NamedTuple):
    """How the forms of a bank have done on the lanes of a group; one that was not tried has an infinite score."""

    score: Tensor  # (n F)
    sizes: Tensor  # (n F 4): of their held-out errors, see `_score`
    theta: dict[int, Tensor]  # (n P) of each form that was tried


class Pick(NamedTuple):
    """A form that some lanes of a group have in some slots, and where to climb from."""

    k: int
    lanes: Tensor
    slots: Tensor
    start: Tensor


def _groups(bank: Bank, y: Tensor, horizon: int, seasons: tuple[int, ...], inputs: Tensor) -> list[Group]:
    """The forms without inputs on all lanes that they can be fitted to."""
    plain = [(k, form) for k, form in enumerate(bank) if not form.model.regressors]
    first = y.isfinite().to(torch.int64).argmax(1)
    length = torch.where(y.isfinite().any(1), y.shape[1] - first, 0)
    kind = (length.clamp(min=1).log() / math.log(CLASS)).floor().to(torch.int64)
    made = []
    for one in kind.unique().tolist():
        lanes = (kind == one).nonzero()[:, 0]
        longest = int(length[lanes].max())
        if longest:
            held = _held_out(math.floor(CLASS**one), horizon, max(seasons, default=1))
            own = own_season(y[lanes], min(seasons, default=1))
            part, known = (x[lanes, y.shape[1] - longest :] for x in (y, inputs))
            usables = [(k, usable(form, part[:, : longest - held], own).nonzero()[:, 0]) for k, form in plain]
            made.append(Group(lanes, part, known, held, [(k, some, None) for k, some in usables if len(some)]))
    return made


def _driven(bank: Bank, group: Group, scores: Scores) -> list[tuple[int, Tensor, Tensor | None]]:
    """The forms that did best without inputs, with them: each goes on where the same form ended. And those that are nothing without."""
    half = sum(not form.model.regressors for form in bank)
    before = group.y[:, : group.rows]
    count = before.isfinite().sum(1)
    best = scores.score[:, :half].topk(min(SLOTS, half), 1, largest=False)
    best_few = torch.where(best.values.isfinite(), best.indices, -1)
    made: list[tuple[int, Tensor, Tensor | None]] = []
    for k, theta in scores.theta.items():
        lanes = ((best_few == k).any(1) & (count >= bank[k + half].needs)).nonzero()[:, 0]
        made += [(k + half, lanes, theta[lanes])] * (len(lanes) > 0)
    alone = [(k, usable(bank[k], before).nonzero()[:, 0]) for k in range(2 * half, len(bank))]
    return made + [(k, lanes, None) for k, lanes in alone if len(lanes)]


def empty(bank: Sequence[Kind], count: int, like: Tensor, slots: int = SLOTS) -> Chosen:
    """No forms for anyone."""
    width = max(form.model.parameters + 2 * form.model.regressors for form in bank)
    period = max(form.profile for form in bank) or 1
    none = like.new_full((count, slots), math.nan)
    return Chosen(
        torch.full((count, slots), -1, dtype=torch.int64),
        torch.zeros_like(none),
        none[..., None].repeat(1, 1, width),
        none,
        none.clone(),
        none.clone(),
        like.new_zeros(count, slots, period),
        like.new_ones(count, 2),
    )


def _held_out(length: int, horizon: int, season: int) -> int:
    """Rows at the end that forms are tried on, of a lane of so many rows."""
    if length >= 6 * horizon + 2 * season:
        return 2 * horizon
    if length >= 3 * horizon + min(2 * season, 2 * horizon):
        return horizon
    return min(horizon, int(0.3 * length))


def _none(bank: Bank, group: Group) -> Scores:
    """Before anything was tried."""
    shape = len(group.y), len(bank)
    return Scores(group.y.new_full(shape, math.inf), group.y.new_zeros(*shape, 4), {})


def _try(bank: Bank, groups: list[Group], scores: list[Scores], horizon: int) -> None:
    """Fit what is to be tried, all lanes of all groups together, and enter how it does on the rows held out."""
    tries = [(group, *one) for group in groups for one in group.tries]
    jobs = [
        Job(bank[k], group.y[rows, : group.rows], start, group.inputs[rows, : group.rows])
        for group, k, rows, start in tries
    ]
    fitted = iter(fits(jobs, TRIAL, ROUGH))
    for group, (score, sizes, theta) in zip(groups, scores, strict=True):
        y, rows, held = group.y, group.rows, group.held
        stop = y.shape[1] - max(1, min(horizon // 2, held // 2))
        origins = list(range(rows, stop + 1, max(1, held // 6))) if held else []
        for k, lanes, _ in group.tries:
            form, found = bank[k], next(fitted)
            theta[k] = y.new_full((len(y), found.theta.shape[1]), math.nan)
            theta[k][lanes] = found.theta
            made = tried(form, found, y[lanes], origins, horizon, group.inputs[lanes]) if held else None
            each, sizes[lanes, k] = _score(form, found, y[lanes, :rows], made)
            idle = bool(form.profile) & (found.profile == 0).all(1)  # the form without a profile is there too
            score[lanes, k] = torch.where(idle, math.inf, each)


def _picked(bank: Bank, group: Group, scores: Scores) -> tuple[Chosen, list[Pick]]:
    """The best forms of each lane with their weights, and what to fit again."""
    y, rows, (score, sizes, starts) = group.y, group.rows, scores
    best = score.amin(1, keepdim=True)
    sharp = torch.where(y[:, :rows].isfinite().sum(1, keepdim=True) < FEW, SOFTER, SHARPNESS)
    weight = torch.where(score.isfinite(), (sharp * (best - score)).exp(), 0.0).nan_to_num(0.0)
    top = weight.topk(min(SLOTS, len(bank)), 1)
    kept = (top.values > 0.01 * top.values[:, :1]) & (top.values[:, :1] > 0)
    chosen, used = empty(bank, len(y), y), slice(top.indices.shape[1])
    chosen.form[:, used] = torch.where(kept, top.indices, -1)
    chosen.weight[:, used] = torch.where(kept, top.values, 0.0)
    size = sizes.gather(1, top.indices[:, :1, None].expand(-1, 1, 4))[:, 0]
    places = {k: (chosen.form == k).nonzero(as_tuple=True) for k in starts}
    picks = [Pick(k, lanes, slots, starts[k][lanes]) for k, (lanes, slots) in places.items() if len(lanes)]
    return chosen._replace(widen=_widened(y.isfinite().sum(1), size)), picks


def _score(form: Form, fitted: Fit, y: Tensor, made: Tried | None) -> tuple[Tensor, Tensor]:
    """Score (n), and mean |z| of the held-out errors in units of their expected size and their number (n 4).

    Nearer leads, further leads, and both numbers.
    """
    count = y.isfinite().sum(1)
    criterion = (TRUST / count).clamp(max=1.0) * aicc(fitted.loglik, form, count) / (2 * count)
    still = form.model.trend == "none" or (form.model.trend == MEAN and not form.model.walks)
    criterion = criterion + FLAT * (TRUST / count).clamp(max=FLATTEST) * still
    if made is None:
        return criterion, y.new_zeros(len(y), 4)
    median = off_scale(form, made.mean)
    error = (median - made.actual).abs().nanmean((1, 2))
    size = y.nan_to_num(0.0).abs().amax(1)
    z = (on_scale(form, made.actual) - made.mean).abs() / made.variance.sqrt()
    parts = z.clamp(max=6.0).tensor_split([(z.shape[2] + 1) // 2], 2)
    ratio = [part.nanmean((1, 2)).nan_to_num(0.0) for part in parts]
    number = [part.isfinite().sum((1, 2)).to(z.dtype) for part in parts]
    loss = torch.where(error.isfinite(), (error + 1e-9 * size).clamp(min=1e-300).log(), 0.0)
    return loss + criterion, torch.stack([*ratio, *number], 1)


def _away(form: Form, fitted: Fit, y: Tensor, horizon: int, inputs: Tensor) -> Tensor:
    """How far the forecast leaves the last value, in the largest change (n) that was ever seen over as many rows."""
    lead = max(1, min(horizon, y.shape[1] // 2))
    made = tried(form, fitted, y, [y.shape[1]], lead, inputs)
    levels = torch.stack([made.mean[:, 0, -1], made.mean[:, 0, -1] + 1.645 * made.variance[:, 0, -1].sqrt()])
    levels = off_scale(form, levels)
    seen = y.isfinite()
    last = y.gather(1, (seen * torch.arange(1, y.shape[1] + 1)).argmax(1, keepdim=True))[:, 0]
    change = (y[:, lead:] - y[:, :-lead]).abs().nan_to_num(0.0).amax(1)
    span = torch.where(seen, y, -torch.inf).amax(1) - torch.where(seen, y, torch.inf).amin(1)
    away = (levels - last).abs() / torch.where(change > 0, change, span).clamp(min=1e-300)
    return torch.maximum(away[0], away[1] / 4)


def _widened(seen: Tensor, size: Tensor) -> Tensor:
    """w (n 2) at the first and at the last lead."""
    ratio, count = size.tensor_split(2, 1)
    usual = math.sqrt(2 / math.pi)  # mean |z| of a normal
    own = (count / 6 / (count / 6 + DOUBT)) * (ratio.clamp(min=1e-3) / usual).log()
    own = torch.where(count > 0, own.clamp(-0.5, 1.0), 0.0).exp()
    few = torch.tensor([NARROW, WIDE], dtype=size.dtype) / seen.clamp(min=8)[:, None]
    return (1 + few) * own


def _put(chosen: Chosen, lanes: Tensor, slots: Tensor, fitted: Fit) -> None:
    """The parameters of some slots."""
    numbers = torch.cat([fitted.theta, fitted.inputs.flatten(1)], 1)
    chosen.theta[lanes, slots, : numbers.shape[1]] = numbers
    chosen.drift[lanes, slots], chosen.loc[lanes, slots] = fitted.drift, fitted.loc
    chosen.spread[lanes, slots] = fitted.spread
    chosen.profile[lanes, slots, : fitted.profile.shape[1]] = fitted.profile
