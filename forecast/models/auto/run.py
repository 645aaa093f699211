"""The machine of the chosen forms: one belief for each lane and slot, padded to the size of the largest form.

Shapes: a lane is one channel of one series; values (n T); beliefs (n K …).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.models.auto.bank import Bank, on_scale, position
from forecast.models.auto.choose import Chosen
from forecast.models.auto.fit import Fit, Kind
from forecast.models.auto.known import regressors
from forecast.models.decomposition import Components, facts, parts_named, parts_of, plain
from forecast.ssm.belief import Belief
from forecast.ssm.kalman import advance
from forecast.ssm.structural import DRIFT, SLOPE


class Slots(NamedTuple):
    """Beliefs of all slots; each form uses the first of its own count."""

    coefs: Tensor  # (n K Kc): what the kernels read, made of theta
    mean: Tensor  # (n K m)
    covariance: Tensor  # (n K N)
    diffuse: Tensor  # (n K N)
    tally: Tensor  # (n K 4)


class Run(NamedTuple):
    """Forecasts of each row on the scale of each slot's form."""

    mean: Tensor  # (n K T)
    variance: Tensor  # (n K T)
    power: Tensor  # (n K 1) of the scale


def start(bank: Sequence[Kind], chosen: Chosen) -> Slots:
    """Before the first row."""
    m, wide = _room(tuple(bank))
    sizes = wide, m, m * (m + 1) // 2, m * (m + 1) // 2, 4
    slots = Slots(*[chosen.weight.new_zeros(*chosen.weight.shape, size) for size in sizes])
    for form, lane, slot in _groups(bank, chosen):
        fitted = _fit(chosen, form, lane, slot)
        coefs, belief = form.begin(fitted.theta, fitted.drift)
        for leaf, part in zip(slots, (coefs, *belief), strict=True):
            leaf[lane, slot, : part.shape[1]] = part
    return slots


def follow(
    bank: Sequence[Kind], chosen: Chosen, slots: Slots, y: Tensor, at: Tensor, inputs: Tensor, robust: float
) -> tuple[Slots, Run]:
    """The slots after rows (n T) with inputs (n T K) at positions `at` (n T) of their series, and the forecast of each row."""
    after = Slots(slots.coefs, *[leaf.clone() for leaf in slots[1:]])
    shape = *chosen.form.shape, y.shape[1]
    run = Run(y.new_full(shape, torch.nan), y.new_full(shape, torch.nan), y.new_ones(*shape[:2], 1))
    for form, lane, slot in _groups(bank, chosen):
        fitted, program = _fit(chosen, form, lane, slot), form.model.program
        profile = fitted.profile.gather(1, at[lane] % fitted.profile.shape[1])
        x = (on_scale(form, y[lane]) - profile - fitted.loc[:, None]) / fitted.spread[:, None]
        triangle = program.size * (program.size + 1) // 2
        sizes = program.size, triangle, triangle, 4
        belief = Belief(*[leaf[lane, slot, :size] for leaf, size in zip(slots[1:], sizes, strict=True)])
        coefs = slots.coefs[lane, slot, : program.coefficients - form.model.regressors]
        if form.model.regressors:
            coefs = form.model.with_regressors(coefs, regressors(fitted.inputs, inputs[lane]))
        done = advance(program, coefs, belief, x[..., None], dof=robust)
        for leaf, part in zip(after[1:], done.belief, strict=True):
            leaf[lane, slot, : part.shape[1]] = part
        run.mean[lane, slot] = fitted.loc[:, None] + fitted.spread[:, None] * done.mean[..., 0] + profile
        run.variance[lane, slot] = done.variance[..., 0] * fitted.spread[:, None].square()
        run.power[lane, slot] = form.power
    return after, run


@lru_cache(maxsize=16)
def _room(bank: tuple[Kind, ...]) -> tuple[int, int]:
    """States and coefficients of the largest forms."""
    programs = [form.model.program for form in bank]
    return max(program.size for program in programs), max(program.coefficients for program in programs)


def explained(bank: Bank, chosen: Chosen, y: Tensor, inputs: Tensor) -> Components:
    """The components of one lane (T) with inputs (T K) by the form with the largest weight; n = 1."""
    slot = chosen.weight.nan_to_num(0.0).argmax(1)
    k = int(chosen.form[0, slot])
    if k < 0:
        none = y.new_full((len(y),), torch.nan)
        return Components("", (), none[:, None][:, :0], none[:, None][:, :0], none, none, none, ())
    form, lane = bank[k], torch.zeros(1, dtype=torch.int64)
    fitted = _fit(chosen, form, lane, slot)
    z = on_scale(form, y[None])
    profile = fitted.profile.gather(1, position(y[None]) % fitted.profile.shape[1])
    x = (z - profile - fitted.loc[:, None]) / fitted.spread[:, None]
    coefs, belief = form.begin(fitted.theta, fitted.drift)
    driven = regressors(fitted.inputs, inputs[None, :, : form.model.regressors])
    parts, effects = parts_of(form.model, belief, x, fitted.loc[0], fitted.spread[0], coefs, driven)
    mean, deviation, innovation, observation, level = parts
    names = parts_named(form.model)
    if form.model.trend == DRIFT:  # given, not estimated: a number, not a picture
        still = [at for at, name in enumerate(names) if name != SLOPE]
        names, mean, deviation = tuple(names[at] for at in still), mean[:, still], deviation[:, still]
    if form.profile:
        names = (*names, f"profile {form.profile}")
        profile = profile.T[-len(mean) :]
        mean, deviation = torch.cat([mean, profile], 1), torch.cat([deviation, 0 * profile], 1)
    weights = sorted(zip(chosen.weight[0].tolist(), chosen.form[0].tolist(), strict=True), reverse=True)
    said = [(bank[f].word, f"weight {w:.2f}") for w, f in weights if f >= 0 and w > 0]
    if form.model.trend == DRIFT:
        said.append(("drift", f"{plain(float(fitted.drift[0] * fitted.spread[0]))} a row, a share of the straight line's slope"))
    said += facts(form.model, fitted.theta[0], fitted.spread[0])
    return Components(
        form.scale,
        names,
        mean,
        deviation,
        innovation,
        observation,
        level,
        tuple(said),
        effects / fitted.inputs[0, 1, :, None],
    )


def _groups(bank: Sequence[Kind], chosen: Chosen) -> Iterator[tuple[Kind, Tensor, Tensor]]:
    """Each form with the lanes and slots that have it."""
    for k in chosen.form.unique().tolist():
        if k >= 0:
            lane, slot = (chosen.form == k).nonzero(as_tuple=True)
            yield bank[k], lane, slot


def _fit(chosen: Chosen, form: Kind, lane: Tensor, slot: Tensor) -> Fit:
    """The parameters of a form on some lanes and slots."""
    theta, drift, loc, spread, profile = (leaf[lane, slot] for leaf in chosen[2:7])
    P, K = form.model.parameters, form.model.regressors
    units = theta[:, P : P + 2 * K].unflatten(1, (2, K))
    return Fit(theta[:, :P], drift, loc, spread, profile[:, : max(form.profile, 1)], drift, units)
