"""The laws L1–L10 of every member, as functions that fail by assertion. Tolerances are those of the design page."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from forecast import artefact
from forecast.distribution import Forecast
from forecast.errors import InputError
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Past, Row, State, join, leaves, put, take, tree_map
from tests.laws.bench import (
    Bench,
    apart,
    bench,
    difference,
    frozen,
    future_of,
    horizon,
    numbers,
    spread,
    weights_are_32,
)

Law = Callable[[type[Forecaster]], None]
NEEDS: dict[str, str] = {}  # law name → trait it binds
SPARES: dict[str, str] = {}  # law name → trait of members that it does not bind all the same


def binds(trait: str, but: str = "") -> Callable[[Law], Law]:
    """This law binds the members that declare the trait, and not `but` that one."""

    def mark(law: Law) -> Law:
        NEEDS[law.__name__] = trait
        SPARES[law.__name__] = but
        return law

    return mark


def tolerance(model: Forecaster) -> float:
    if "kernel" in model.traits:
        return 0.0
    return 2e-5 if weights_are_32(model) else 1e-10


def steps(b: Bench, state: State, past: Past) -> State:
    for row in past.each():
        state = b.model.step(state, row)
    return state


def law_01_whole_is_chunks_is_steps(kind: type[Forecaster]) -> None:
    b = bench(kind)
    allowed = tolerance(b.model)
    whole = b.model.warm_up(b.start(), b.past)
    for cuts in ((1, 30), (17, 18), (71, 71)):
        state, low = b.start(), 0
        for cut in (*cuts, b.past.values.shape[1]):
            state, low = b.model.warm_up(state, b.past.rows(low, cut)), cut
        assert apart(whole, state) <= allowed, f"chunks at {cuts}: end states differ by {apart(whole, state):.2e}"
    stepped = steps(b, b.start(), b.past)
    assert apart(whole, stepped) <= allowed, f"warm_up and steps: end states differ by {apart(whole, stepped):.2e}"
    future, scale = future_of(b.model, b.past), spread(b.past)
    gap = difference(numbers(b.model.predict(whole, future)), numbers(b.model.predict(stepped, future)))
    assert gap <= allowed * scale, f"forecasts after warm_up and after steps differ by {gap:.2e}"


def law_01_trace_is_a_loop_of_predict_and_step(kind: type[Forecaster]) -> None:
    b = bench(kind)
    future = future_of(b.model, b.past)
    for lead, every in ((horizon(b.model), 1), (horizon(b.model), 5), (1, 1)):
        traced, end = b.model.trace(b.start(), b.past, future, lead, every)
        looped, state = Forecaster.trace(b.model, b.start(), b.past, future, lead, every)
        allowed = tolerance(b.model)
        gap = difference(numbers(traced), numbers(looped))
        assert gap <= allowed * spread(b.past), f"trace (horizon={lead}, every={every}) and its loop differ by {gap:.2e}"
        assert apart(end, state) <= allowed, f"trace (every={every}) ends in another state: {apart(end, state):.2e}"


def law_02_no_look_ahead(kind: type[Forecaster]) -> None:
    b = bench(kind)
    future, lead = future_of(b.model, b.past), horizon(b.model)
    allowed = (
        0.0
        if "kernel" in b.model.traits or type(b.model).trace is Forecaster.trace
        else (1e-6 if weights_are_32(b.model) else 1e-13)
    )
    before, _ = b.model.trace(b.start(), b.past, future, lead)
    for row in (0, 20, 50):
        values = b.past.values.clone()
        values[:, row:] = values[:, row:] * -3 + 1e3
        after, _ = b.model.trace(b.start(), b.past._replace(values=values), future, lead)
        made = slice(0, row + 1)
        gap = difference(numbers(before)[:, made], numbers(after)[:, made])
        assert gap <= allowed * float(values.nan_to_num().abs().max()), (
            f"editing row {row} moves an earlier forecast by {gap:.2e}"
        )


def run(model: Forecaster, past: Past, future: Future) -> Forecast:
    """Estimate, warm up, predict."""
    with torch.no_grad():
        state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
        return model.predict(state, future)


@binds("scale")
def law_03_scale(kind: type[Forecaster]) -> None:
    b = bench(kind, gaps=0.0)
    future = future_of(b.model, b.past)
    plain = numbers(run(b.model, b.past, future))
    for factor in (1e-3, 37.0):
        scaled = numbers(run(b.model, b.past._replace(values=b.past.values * factor), future)) / factor
        gap = difference(plain, scaled)
        assert gap <= 1e-4 * spread(b.past), f"units × {factor}: forecasts move by {gap:.2e}"


@binds("shift")
def law_03_shift(kind: type[Forecaster]) -> None:
    b = bench(kind, gaps=0.0)
    future = future_of(b.model, b.past)
    plain = numbers(run(b.model, b.past, future))
    for shift in (-400.0, 55.0):
        shifted = numbers(run(b.model, b.past._replace(values=b.past.values + shift), future)) - shift
        gap = difference(plain, shifted)
        assert gap <= 1e-4 * spread(b.past), f"values + {shift}: forecasts move by {gap:.2e}"


def padded(past: Past, rows: int) -> Past:
    """`past` with missing rows in front."""
    fill = lambda part, value: torch.cat([part.new_full((part.shape[0], rows, *part.shape[2:]), value), part], 1)  # noqa: E731
    return Past(fill(past.values, math.nan), fill(past.inputs, 0.0), fill(past.elapsed, 1.0), past.static)


def law_04_missing_is_not_zero(kind: type[Forecaster]) -> None:
    b = bench(kind)
    future = future_of(b.model, b.past)
    values = b.past.values.clone()
    values[:, -6:] = math.nan
    gone = numbers(b.model.predict(b.model.warm_up(b.start(), b.past._replace(values=values)), future))
    zero = numbers(b.model.predict(b.model.warm_up(b.start(), b.past._replace(values=values.nan_to_num())), future))
    assert bool(gone.isfinite().all()), "a forecast after six missing rows is missing"
    assert difference(gone, zero) > 1e-6 * spread(b.past), "missing rows act like zeros"


def law_04_padding_is_invisible(kind: type[Forecaster]) -> None:
    b = bench(kind)
    future, allowed = future_of(b.model, b.past), tolerance(b.model)
    plain = numbers(b.model.predict(b.model.warm_up(b.start(), b.past), future))
    front = numbers(b.model.predict(b.model.warm_up(b.start(), padded(b.past, 7)), future))
    assert difference(plain, front) <= allowed * spread(b.past), (
        f"rows before the first value move forecasts by {difference(plain, front):.2e}"
    )
    again = numbers(run(b.model, padded(b.past, 7), future))
    allowed = max(allowed, 1e-9)
    gap = difference(numbers(run(b.model, b.past, future)), again)
    assert gap <= allowed * spread(b.past), f"through estimate, padding moves forecasts by {gap:.2e}"


@binds("continuous")
def law_04_a_missing_row_is_elapsed_time(kind: type[Forecaster]) -> None:
    b = bench(kind)
    past = b.past._replace(inputs=torch.zeros_like(b.past.inputs))
    state = b.model.warm_up(b.start(), past)
    last = next(past.rows(71, 72).each())
    last = last._replace(values=last.values.nan_to_num(nan=20.0))
    gap = Row(torch.full_like(last.values, math.nan), last.inputs, last.elapsed * 2)
    two = b.model.step(b.model.step(state, gap), last)
    one = b.model.step(state, last._replace(elapsed=last.elapsed * 3))
    future = future_of(b.model, past)._replace(inputs=torch.zeros_like(future_of(b.model, past).inputs))
    moved = difference(numbers(b.model.predict(two, future)), numbers(b.model.predict(one, future)))
    assert moved <= max(tolerance(b.model), 1e-9) * spread(past), (
        f"a missing row differs from elapsed time by {moved:.2e}"
    )


def law_05_company(kind: type[Forecaster]) -> None:
    b = bench(kind)
    future, allowed = future_of(b.model, b.past), max(tolerance(b.model), 0.0)
    scale = spread(b.past)
    order = torch.tensor([2, 0, 1])
    state = b.model.warm_up(b.start(), b.past)
    plain = numbers(b.model.predict(state, future))
    mixed = b.model.warm_up(take(b.start(), order), take(b.past, order))
    gap = difference(plain[order], numbers(b.model.predict(mixed, take(future, order))))
    assert gap <= allowed * scale, f"permuting series moves forecasts by {gap:.2e}"
    alone = b.model.warm_up(take(b.start(), order[:1]), take(b.past, order[:1]))
    gap = difference(plain[2:3], numbers(b.model.predict(alone, take(future, order[:1]))))
    assert gap <= allowed * scale, f"the company of other series moves a forecast by {gap:.2e}"
    if "panel" not in b.model.traits:
        gap = difference(
            numbers(run(b.model, b.past, future))[2:3],
            numbers(run(b.model, take(b.past, order[:1]), take(future, order[:1]))),
        )
        assert gap <= max(allowed, 1e-9) * scale, f"estimating in company moves a forecast by {gap:.2e}"


def law_05_states_of_some_series(kind: type[Forecaster]) -> None:
    b = bench(kind)
    state = b.model.warm_up(b.start(), b.past.rows(0, 40))
    some, row = torch.tensor([0, 2]), next(b.past.rows(40, 41).each())
    part = b.model.step(take(state, some), take(row, some))
    whole = b.model.step(state, row)
    assert apart(take(whole, some), part) <= tolerance(b.model), "take and step do not commute"
    assert apart(
        put(state, some, part), join([take(one, torch.tensor([s])) for s, one in enumerate((whole, state, whole))])
    ) <= tolerance(b.model), "put and step do not commute"


def law_05_quantiles_do_not_cross(kind: type[Forecaster]) -> None:
    b = bench(kind)
    quantiles = b.model.predict(b.model.warm_up(b.start(), b.past), future_of(b.model, b.past)).quantiles()
    assert bool((quantiles.diff(dim=-1) >= 0).all()), "quantiles cross"


def law_06_precision_in_is_precision_out(kind: type[Forecaster]) -> None:
    for dtype in (torch.float64, torch.float32):
        b = bench(kind, dtype=dtype)
        state = b.model.warm_up(b.start(), b.past)
        out = numbers(b.model.predict(state, future_of(b.model, b.past)))
        assert out.dtype == dtype, f"{dtype} in, {out.dtype} out"
        assert bool(out.isfinite().all()), f"{dtype}: a forecast is missing"
        wide = [leaf for leaf in leaves(state) if leaf.dtype.is_floating_point]
        assert all(
            torch.finfo(leaf.dtype).bits >= torch.finfo(dtype).bits or weights_are_32(b.model) for leaf in wide
        ), "the state is narrower than the data"


@binds("trained", but="kernel")
def law_06_no_stray_device(kind: type[Forecaster]) -> None:
    b = bench(kind)
    model, lead = b.model.to("meta"), horizon(b.model)
    past, future = (type(part)(*(leaf.to("meta") for leaf in part)) for part in (b.past, future_of(b.model, b.past)))
    try:
        state = model.warm_up(model.initial_state((), past.static), past)
        made = model.predict(model.step(state, next(past.each())), future), model.trace(state, past, future, lead, 3)[0]
    except RuntimeError as error:
        raise AssertionError(f"a tensor stays on another device: {error}") from error
    assert all(leaf.is_meta for leaf in leaves(state)), "a state leaf stays on another device"
    assert all(forecast.median.is_meta for forecast in made), "a forecast stays on another device"


def law_07_calibrated_in_closed_form(kind: type[Forecaster]) -> None:
    b = bench(kind)
    forecast = b.model.predict(b.model.warm_up(b.start(), b.past), future_of(b.model, b.past))
    for level in (1e-4, 0.003, 0.2, 0.5, 0.77, 0.999):
        back = forecast.cdf(forecast.quantile(level))
        assert float((back - level).abs().max()) <= 1e-6, (
            f"cdf(quantile({level})) is off by {float((back - level).abs().max()):.1e}"
        )
    median = forecast.median
    for surprise in (0.5, 5.0, 12.0):
        bound = forecast.quantile(math.exp(-surprise) / 2)
        gap = (forecast.surprise(bound) - surprise).abs().max()
        assert float(gap) <= 1e-5 * surprise, f"P(surprise > {surprise}) is not e^-{surprise}"
    reach = (forecast.quantile(0.9) - median).clamp(min=1e-12)
    far = torch.stack([forecast.surprise(median + reach * 10.0**power) for power in range(0, 30, 3)], -1)
    assert bool(far.isfinite().all() and (far.diff(dim=-1) > 0).all()), "surprise does not grow out to 1e30"


@binds("generative")
def law_07_covers_what_it_generates(kind: type[Forecaster]) -> None:
    b = bench(kind, batch=400, gaps=0.0)
    if "panel" not in b.model.traits:  # every series is simulated at the parameters of the first
        b = b._replace(
            parameters=tree_map(lambda leaf: leaf[:1].expand(leaf.shape[0], *leaf.shape[1:]).clone(), b.parameters)
        )
    generator = torch.Generator().manual_seed(1)
    state, lead = b.model.warm_up(b.start(), b.past), horizon(b.model)
    ahead = future_of(b.model, b.past)
    truth, one = [], state
    forecast = b.model.predict(state, ahead)
    for h in range(lead):
        y = b.model.predict(one, ahead.rows(h, h + 1)).sample(1, generator)[0][:, 0]
        truth.append(y)
        one = b.model.step(one, Row(y, ahead.inputs[:, h], ahead.elapsed[:, h]))
    actual = torch.stack(truth, 1)
    low, high = forecast.interval(0.9)
    count = actual.shape[0] * actual.shape[2]
    band = 3.29 * math.sqrt(0.9 * 0.1 / count)
    covered = ((actual >= low) & (actual <= high)).to(torch.float64).mean((0, 2))
    assert bool(((covered - 0.9).abs() <= band).all()), (
        f"90 % intervals cover {[f'{float(c):.3f}' for c in covered]} (band ±{band:.3f})"
    )


def law_08_save_and_load(kind: type[Forecaster]) -> None:
    b = bench(kind)
    state, future = b.model.warm_up(b.start(), b.past), future_of(b.model, b.past)
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder) / "model.safetensors", Path(folder) / "again.safetensors"
        artefact.save(path, b.model, b.parameters, state, {"note": "law"})
        torch.manual_seed(1)
        back = artefact.load(path)
        assert (
            difference(numbers(b.model.predict(state, future)), numbers(back.model.predict(back.state, future))) == 0
        ), "forecasts changed"
        restarted = back.model.warm_up(back.model.initial_state(back.parameters, b.past.static), b.past)
        assert apart(restarted, state) == 0, "the loaded parameters warm up to another state"
        artefact.save(again, back.model, back.parameters, back.state, back.facts)
        content = path.read_bytes()
        assert again.read_bytes() == content, "a second save has other bytes"
        for place in range(3, 8 * len(content), max(8 * len(content) // 23, 1)):
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(flipped)
            try:
                artefact.load(path)
            except InputError:
                continue
            raise AssertionError(f"bit {place} flipped and the file was accepted")


def law_09_finite_whatever_comes(kind: type[Forecaster]) -> None:
    b = bench(kind, batch=6, gaps=0.0)
    values = b.past.values.clone()
    values[1] = 1e30 * torch.sin(torch.arange(values.shape[1], dtype=values.dtype))[:, None]
    values[2] = 7.0
    values[3, :-1] = math.nan
    values[4] = math.nan
    values[5] = 1e6 + 1e-3 * torch.randn(
        values[5].shape, generator=torch.Generator().manual_seed(3), dtype=values.dtype
    )
    past, future = b.past._replace(values=values), future_of(b.model, b.past)
    forecast = run(b.model, past, future)
    out = numbers(forecast)
    assert not bool(out.isinf().any()), "an infinity came out"
    assert bool(out[4].isnan().all()), "a series with nothing observed has a forecast"
    assert bool(out[:3].isfinite().all() and out[5].isfinite().all()), (
        f"missing forecasts: {[s for s in (0, 1, 2, 5) if not bool(out[s].isfinite().all())]}"
    )
    if b.model.needs > 1:
        assert bool(out[3].isnan().all()), f"one observed row, {b.model.needs} needed: the forecast must be missing"
    if "panel" not in b.model.traits:
        first = torch.tensor([0])
        alone = numbers(run(b.model, take(past, first), take(future, first)))
        assert difference(out[:1], alone) <= 1e-9 * spread(take(past, first)), (
            "a series in trouble changes another's forecast"
        )
    for s in (0, 1, 2, 5):
        low, high = values[s].amin(0), values[s].amax(0)
        for h in range(horizon(b.model)):
            room = (h + 1) * (high - low) + 1e-6 * high.abs()
            inside = (forecast.median[s, h] >= low - room) & (forecast.median[s, h] <= high + room)
            assert bool(inside.all()), f"series {s}: the median at lead {h + 1} leaves {h + 1} ranges of the past"


def law_10_state_is_bounded(kind: type[Forecaster]) -> None:
    b = bench(kind)
    size = lambda state: sum(leaf.numel() * leaf.element_size() for leaf in leaves(state))  # noqa: E731
    state = b.model.warm_up(b.start(), b.past)
    assert all(leaf.shape[0] == 3 for leaf in leaves(state)), "a state leaf lacks the leading axis B"
    longer = state
    for _ in range(3):
        longer = b.model.warm_up(longer, b.past)
    if b.model.context is None or b.model.context <= b.past.values.shape[1]:
        assert size(longer) == size(state), f"the state grew from {size(state)} to {size(longer)} bytes"


def law_10_arguments_are_left_alone(kind: type[Forecaster]) -> None:
    b = bench(kind)
    state = b.model.warm_up(b.start(), b.past.rows(0, 50))
    row, future = next(b.past.rows(50, 51).each()), future_of(b.model, b.past)
    copies = frozen(state), frozen(row), frozen(future), frozen(b.past)
    b.model.step(state, row)
    b.model.warm_up(state, b.past.rows(51, 72))
    b.model.predict(state, future)
    b.model.widen(state, torch.full((3,), 4.0, dtype=torch.float64))
    for mine, copy in zip((state, row, future, b.past), copies, strict=True):
        assert apart(mine, copy) == 0, "an argument was changed"


LAWS: dict[str, Law] = {name: law for name, law in list(globals().items()) if name.startswith("law_")}
