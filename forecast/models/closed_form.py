"""The linear part of a deep forecaster in closed form, before any gradient: ridge regression on the bank's features.

    W = argmin Σ w_t |z_t - Φ Wᵀ f_t|² + λ μ |W - W₀|²      D_c = argmin the same on channel c with W + D_c, and δ μ |D_c|²
    W, ε = argmin Σ w_t |z_t - Φ Wᵀ f_t - V_t ε|² + … + ρ ν |ε|²  where there are inputs: V_t (H K') functions of those of the leads

z_t: the next H values in units of the scale at t, of which Φ (H J) gives coefficients Φᵀ z / H; f_t the features; w_t the spread
at t relative to that of the series' whole life, at most 3; μ the mean eigenvalue. λ, W₀ (nothing, or the last value for every
lead), how much of the next season takes part, δ (or no D) and ρ (or no ε) have the least squared error on the validation rows, w_t² there, the leads
weighted as in the mean over the horizons H/8, H/4, H/2 and H. There is no intercept: what holds for a series holds for its negative.
A row that lacks some of its next values stands for the others: what is missing is taken to be missing by chance.
The gaps between quantiles are those of the errors on validation rows, lead by lead, on all of the basis.
"""

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.layers.scale import Units, whole_spread
from forecast.models.chosen_rows import rows_of
from forecast.models.deep import DeepForecaster
from forecast.types import Past

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 1e6)
OWN = (10.0, 1.0, 0.1, 0.01)  # δ
EFFECTS = (1e-3, 1e-2, 1e-1, 1.0)  # ρ
OFF = 1e6  # penalty on features that take no part
ERRORS, ENOUGH = 6000, 200  # errors kept for the quantiles; validation errors below which training ones join them


class Sums(NamedTuple):
    """Normal equations of every channel."""

    features: Tensor  # (C F F)
    cross: Tensor  # (C F J)
    weight: Tensor  # (C): total weight of the rows for training, number of rows for validation
    beside: Tensor  # (C F J K'): features by functions of the inputs
    inputs: Tensor  # (C K' K'): these by themselves, in the metric of the leads
    meets: Tensor  # (C K'): these by the targets, likewise

    def plus(self, other: "Sums") -> "Sums":
        """Those of more rows."""
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))


class Errors(NamedTuple):
    """Rows that the quantiles are taken from."""

    features: Tensor  # (n F)
    channel: Tensor  # (n)
    target: Tensor  # (n H); NaN = missing
    inputs: Tensor  # (n H K), standardised
    held: Tensor  # (n): a validation row


def fit(model: DeepForecaster, pasts: Iterable[tuple[Past, Tensor]]) -> None:
    """Set the linear part of the head from pasts, each with how many of its last rows (B) are for validation.

    Where there are inputs, or a model prepares anything, the pasts are gone through more than once.
    """
    train, held, errors, bank = None, None, [], model.encoder.bank
    with torch.no_grad():
        bank.spread.fill_(1.0)
        model.prepare(pasts)
        if model.head.known.inputs:
            model.head.known.fit(torch.cat([_seen_inputs(past, apart) for past, apart in pasts]))
        for past, apart in pasts:
            for batch in _rows(model, past, apart):
                train = batch.train if train is None else train.plus(batch.train)
                held = batch.held if held is None else held.plus(batch.held)
                errors.append(batch.errors)
        if train is None or held is None or not float(train.weight.sum()) > 0:
            return
        spread = (train.features.sum(0).diagonal() / train.weight.sum()).sqrt().clamp(min=1e-6)
        weight, effect = _solve(_scaled(train, spread), _scaled(held, spread), _prior(model, spread), _parts(model), model)
        bank.spread.copy_(spread[: bank.linear])
        own = bank.spread.double().repeat(len(spread) // bank.linear)  # products with a gate are of features in the bank's units
        model.head.weight.copy_(weight * (own / spread)[:, None])
        model.head.effect.copy_(effect)
        _widths(model, errors, own)


def _seen_inputs(past: Past, apart: Tensor) -> Tensor:
    """Rows of the inputs (N K) from the first observed value of each series up to those for validation."""
    begun = (~past.values.isnan()).any(2).cummax(1).values
    early = torch.arange(past.values.shape[1]) < (past.values.shape[1] - apart)[:, None]
    return past.inputs[begun & early]


class Batch(NamedTuple):
    """What some rows bring."""

    train: Sums
    held: Sums
    errors: Errors


def _rows(model: DeepForecaster, past: Past, apart: Tensor) -> Iterable[Batch]:
    """The sums over the rows of a past, a stretch of them at a time."""
    horizon, phi = model.head.basis.horizon, _basis(model)
    features, units, moments = model.linear_features(past)
    chosen = rows_of(model, past, apart, whole_spread(moments))
    share = (~past.values.isnan()).double().mean(1, keepdim=True).clamp(min=1e-6)
    known, unit, metric = model.head.known, torch.eye(phi.shape[1], dtype=torch.float64), _metric(model)
    size = horizon * past.values.shape[0] * (past.values.shape[2] + known.size)
    for some in chosen.places.split(max(1, 2_000_000 // size)):
        there = Units(*(part[:, some, None] for part in units))
        there = model.ahead(there, model.initial_state((), past.static), past, some + 1, horizon)
        target = there.standardise(past.values.unfold(1, horizon, 1)[:, some + 1].mT, model.recipe.outlier).mT
        weight, training, validation = chosen.weights(there, some)
        coefficients = target.nan_to_num(nan=0.0) @ (phi / horizon) / share[..., None]
        f, ahead = model.expand(features[:, some]), past.inputs.unfold(1, horizon, 1)[:, some + 1].mT
        v = torch.einsum("bphk,hj->bpjk", known(ahead), phi / horizon)
        train = _sums(f, coefficients, weight * training, v, unit)
        held = _sums(f, coefficients, chosen.validated(weight) * validation, v, metric)
        held = held._replace(weight=((weight > 0) & validation).double().sum((0, 1)))
        yield Batch(
            train,
            held,
            _sample(f, target, known.standardise(ahead), weight > 0, training, validation, len(chosen.places) / len(some)),
        )


def _sums(features: Tensor, coefficients: Tensor, weight: Tensor, known: Tensor, metric: Tensor) -> Sums:
    """Normal equations of rows (B P C …) with weights (B P C); functions of the inputs (B P J K')."""
    f, t, w = (part.transpose(0, 2).flatten(1, 2) for part in (features, coefficients.to(features.dtype), weight))
    heavy = f * w[..., None].to(f.dtype)
    v = known.transpose(0, 1).flatten(0, 1)
    measured = torch.einsum("njk,jl->nlk", v, metric)
    each = []
    for c in range(len(w) if v.shape[2] else 0):
        weighed = v * w[c, :, None, None]
        beside = (f[c].mT.to(v.dtype) @ weighed.flatten(1)).unflatten(1, v.shape[1:])
        own = measured.flatten(0, 1).mT @ weighed.flatten(0, 1)
        each.append((beside, own, torch.einsum("nlk,nl,n->k", measured, t[c].to(v.dtype), w[c].to(v.dtype))))
    shapes = (f.shape[2], *v.shape[1:]), (v.shape[2], v.shape[2]), (v.shape[2],)
    parts = [torch.stack(one) for one in zip(*each, strict=True)] or [v.new_zeros(len(w), *shape) for shape in shapes]
    return Sums((heavy.mT @ f).double(), (heavy.mT @ t).double(), w.double().sum(1), *parts)


def _sample(
    f: Tensor, target: Tensor, ahead: Tensor, usable: Tensor, train: Tensor, held: Tensor, share: float
) -> Errors:
    """Some of the rows, evenly spread: those for validation, and as many of the others."""
    picked = [(usable & part.expand_as(usable)).nonzero() for part in (held, train)]
    found = []
    for index, is_held in zip(picked, (True, False), strict=True):
        every = max(1, math.ceil(len(index) * share / ERRORS))
        b, p, c = index[::every].unbind(1)
        is_held_row = torch.full_like(c, int(is_held), dtype=torch.bool)
        found.append(Errors(f[b, p, c], c, target[b, p, c].float(), ahead[b, p].float(), is_held_row))
    return Errors(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _scaled(sums: Sums, spread: Tensor) -> Sums:
    """The sums per unit of weight, of features in units of their spread."""
    each = sums.weight.clamp(min=1e-12)
    features = sums.features / each[:, None, None] / spread[:, None] / spread
    cross, beside = sums.cross / spread[:, None], sums.beside / spread[:, None, None]
    others = [part / each.view(-1, *[1] * (part.dim() - 1)) for part in (cross, beside, sums.inputs, sums.meets)]
    return Sums(features, others[0], sums.weight, *others[1:])


def _pooled(sums: Sums) -> Sums:
    """One set of equations for all channels."""
    share = sums.weight / sums.weight.sum().clamp(min=1e-12)
    features, cross, _, *others = [(part * share.view(-1, *[1] * (part.dim() - 1))).sum(0, True) for part in sums]
    return Sums(features, cross, sums.weight.sum()[None], *others)


def _prior(model: DeepForecaster, spread: Tensor) -> Tensor:
    """Weights (F J) that repeat the last value at every lead."""
    weight = torch.zeros(len(spread), model.head.basis.size, dtype=torch.float64)
    last = model.encoder.bank.linear - 1
    weight[last] = model.head.basis.constant() * spread[last]
    return weight


def _parts(model: DeepForecaster) -> list[Tensor]:
    """Sets of features that may take no part (F each).

    Of the next season none, all, or those beside the harmonics of the leading one; each with and without the products with a gate.
    """
    bank, copies = model.encoder.bank, model.head.linear // model.encoder.bank.linear
    none = torch.zeros(model.head.linear, dtype=torch.bool)
    gated = torch.arange(len(none)) >= bank.linear
    found: list[Tensor] = []
    for season, gate in itertools.product((none, bank.extra.repeat(copies), bank.beside.repeat(copies)), (none, gated)):
        if not any(torch.equal(season | gate, other) for other in found):
            found.append(season | gate)
    return found


def _solve(
    train: Sums, held: Sums, last: Tensor, parts: list[Tensor], model: DeepForecaster
) -> tuple[Tensor, Tensor]:
    """Weights (C F J) and (C K') of the least validation error; the last value where there are no validation rows."""
    channels, one = len(train.weight), _pooled(train)
    unit, none = one.features[0].diagonal().mean(), torch.zeros_like(train.meets)
    if not float(held.weight.sum()) > 0:
        return last.expand(channels, -1, -1), none
    metric = _metric(model)
    found = []
    for penalty, prior, off in itertools.product(PENALTIES, (torch.zeros_like(last), last), parts):
        ridge = penalty * unit * torch.where(off, OFF, 1.0).double()
        weight = _ridge(one.features, one.cross, ridge, prior)
        found.append((float(_error(weight, none, held, metric)), weight, ridge, prior, penalty))
    _, weight, ridge, prior, penalty = min(found, key=lambda each: each[0])
    shared = weight.expand(channels, -1, -1)
    missing = train.cross - train.features @ shared
    tried = [(shared, OFF * ridge / penalty, shared) if channels > 1 else (shared, ridge, prior)]
    for own in OWN if channels > 1 else ():
        change = _ridge(train.features, missing, own * ridge / penalty, torch.zeros_like(last))
        made = shared + torch.where((train.weight > 0)[:, None, None], change, 0.0)
        tried.append((made, own * ridge / penalty, shared))
    weight, ridge, prior = min(tried, key=lambda each: float(_error(each[0], none, held, metric)))
    candidates = [(weight, none), *_with_inputs(train, ridge, prior)]
    return min(candidates, key=lambda each: float(_error(each[0], each[1], held, metric)))


def _with_inputs(train: Sums, ridge: Tensor, prior: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
    """Weights of features and of inputs together, by ρ: what the features leave of the inputs explains what they leave of the target."""
    if train.meets.shape[1] == 0:
        return
    without = _ridge(train.features, train.cross, ridge, prior)
    foreseen = torch.linalg.solve(train.features + torch.diag(ridge), train.beside.flatten(2)).view_as(train.beside)
    left = train.inputs - torch.einsum("cfjk,cfjl->ckl", train.beside, foreseen)
    meets = train.meets - torch.einsum("cfjk,cfj->ck", train.beside, without)
    unit = train.inputs.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
    for penalty in EFFECTS:
        damped = left + penalty * unit[:, None, None] * torch.eye(left.shape[1], dtype=left.dtype)
        effect = torch.linalg.solve(damped, meets[..., None])[..., 0]
        yield without - torch.einsum("cfjk,ck->cfj", foreseen, effect), effect


def _ridge(features: Tensor, cross: Tensor, penalty: Tensor, prior: Tensor) -> Tensor:
    """(A + P)⁻¹ (B + P W₀)."""
    return torch.linalg.solve(features + torch.diag(penalty), cross + penalty[:, None] * prior)


def _error(weight: Tensor, effect: Tensor, held: Sums, metric: Tensor) -> Tensor:
    """Squared error of weights (C F J) and (C K') less that of 0, mean over the channels that have validation rows."""
    there = held.weight > 0
    linear = ((held.features @ weight - 2 * held.cross) @ metric * weight).sum((1, 2))
    both = torch.einsum("cfjk,cfj->ck", held.beside, weight @ metric)
    known = (torch.einsum("ckl,cl->ck", held.inputs, effect) - 2 * held.meets + 2 * both) * effect
    return (linear + known.sum(1))[there].mean()


def _basis(model: DeepForecaster) -> Tensor:
    """Φ (H J) in float64."""
    phi: Tensor = model.head.basis(torch.arange(1, model.head.basis.horizon + 1))
    return phi


def _metric(model: DeepForecaster) -> Tensor:
    """Φᵀ diag(g) Φ (J J) for the weights g of the leads."""
    phi, horizon = _basis(model), model.head.basis.horizon
    lead = torch.arange(1, horizon + 1)
    ends = [max(1, horizon // part) for part in (8, 4, 2, 1)]
    weight = torch.stack([(lead <= end).double() / end for end in ends]).mean(0)
    return phi.mT @ (weight[:, None] * phi)


def _widths(model: DeepForecaster, errors: list[Errors], spread: Tensor) -> None:
    """Give the head the widths of the errors."""
    rows = Errors(*(torch.cat(parts) for parts in zip(*errors, strict=True)))
    if int(rows.held.sum()) >= ENOUGH:
        rows = Errors(*(part[rows.held] for part in rows))
    phi, head = _basis(model), model.head
    coefficients = torch.einsum("nf,nfj->nj", (rows.features / spread).float(), head.weight[rows.channel])
    effect = head.known.weighed(head.effect[rows.channel], rows.inputs) if head.known.inputs else 0.0
    error = rows.target - coefficients @ phi.float().mT - effect
    head.fit_widths(error, phi)
