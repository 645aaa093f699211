"""Made data with known truth: a plant of 20 sensors with labelled events, and the small panels that tests are made of.

The plant has four lines (a to d). A production load ℓ_t ≥ 0 with daily and weekly cycles and an AR(1) disturbance
drives each line:
    power P = 20 + 60 g ℓ,   flow F = 5 + 30 √(g ℓ),   pressure p = 9 − 0.12 F,   vibration v = (1 + g ℓ) e^{0.12 z},
    temperature T' = T + (A_t + 0.5 P − T)/τ        (A_t: air temperature, daily cycle plus an AR(1); τ = 6 rows)
with g the line's gain, each with white noise. Events are laid over the readings in multiples of a channel's noise, one
at a time and never in the first four weeks; readings also go missing, which is no event. The legacy generator of NumPy
is used because its stream is frozen: the same seed gives the same plant under every version.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.random import RandomState
from numpy.typing import NDArray

from forecast.series.clock import Clock
from forecast.series.labels import Labels, Span
from forecast.series.panel import Panel, panel_of

LINES = ("a", "b", "c", "d")
KINDS = ("power", "flow", "pressure", "vibration", "temperature")
DAY = 48  # rows: one every 30 minutes
NOISE = {"power": 1.2, "flow": 0.5, "pressure": 0.06, "vibration": 0.15, "temperature": 0.4}
ORIGIN = pd.Timestamp("2025-01-06")  # a Monday
# What happens, in order, one each of the last six weeks' events: kind, line, sensors, rows, strength in noises.
EVENTS: tuple[tuple[str, str, tuple[str, ...], int, float], ...] = (
    ("spike", "a", ("pressure",), 2, 9.0),
    ("level_shift", "b", ("flow",), 30, 6.0),
    ("stuck", "c", ("temperature",), 24, 0.0),
    ("drift", "d", ("vibration",), 96, 10.0),
    ("noise", "a", ("power",), 40, 5.0),
    ("leak", "b", ("flow", "pressure"), 36, 6.0),
    ("spike", "c", ("vibration",), 1, -12.0),
    ("level_shift", "d", ("temperature",), 48, -7.0),
    ("stuck", "a", ("flow",), 16, 0.0),
    ("swapped", "b", ("power", "temperature"), 20, 0.0),
    ("drift", "c", ("pressure",), 120, -9.0),
    ("leak", "d", ("flow", "pressure"), 24, 5.0),
    ("noise", "b", ("vibration",), 30, 6.0),
    ("spike", "d", ("power", "flow", "pressure"), 2, 10.0),
)


def plant(seed: int = 2026, weeks: int = 10) -> tuple[Panel, Labels]:
    """One series of 20 channels, a row every 30 minutes, with its labelled events."""
    random = RandomState(seed)
    rows = weeks * 7 * DAY
    values = {f"{line}_{kind}": readings for line in LINES for kind, readings in _line(random, rows).items()}
    spans = _disturb(random, values, rows)
    matrix = np.stack(list(values.values()), 1).round(2)
    matrix[random.random_sample(matrix.shape) < 0.004] = np.nan
    silent = int(rows * 0.55)
    matrix[silent : silent + 10] = np.nan  # the logger was off for five hours
    panel = panel_of({"plant": torch.from_numpy(matrix)}, Clock("time", ORIGIN, "30min"), (DAY, 7 * DAY))
    return replace(panel, channels=tuple(values)), Labels.of(spans)


def _line(random: RandomState, rows: int) -> dict[str, NDArray[np.float64]]:
    """Undisturbed readings of one line."""
    hour, weekday = np.arange(rows) % DAY / 2, np.arange(rows) // DAY % 7
    shift = np.exp(-(((hour - 10.5) / 3) ** 2)) + 0.7 * np.exp(-(((hour - 18) / 2.5) ** 2))
    load = np.where(weekday < 5, 1.0, np.where(weekday == 5, 0.5, 0.25)) * shift + 0.2 + 0.08 * _ar(random, rows, 0.95)
    work = random.uniform(0.7, 1.2) * load.clip(0.02)
    air = 12 + 6 * np.cos(2 * np.pi * (hour - 15) / 24) + 3 * _ar(random, rows, 0.995)
    power, flow = 20 + 60 * work, 5 + 30 * np.sqrt(work)
    clean = {
        "power": power,
        "flow": flow,
        "pressure": 9 - 0.12 * flow,
        "vibration": 1 + work,
        "temperature": _lag(air + 0.5 * power),
    }
    clean["vibration"] = clean["vibration"] * np.exp(0.12 * random.standard_normal(rows))
    return {
        kind: readings + (kind != "vibration") * NOISE[kind] * random.standard_normal(rows)
        for kind, readings in clean.items()
    }


def _ar(random: RandomState, rows: int, memory: float) -> NDArray[np.float64]:
    """AR(1) with unit variance."""
    shocks = random.standard_normal(rows) * np.sqrt(1 - memory**2)
    out = np.empty(rows)
    level = random.standard_normal()
    for t in range(rows):
        level = memory * level + shocks[t]
        out[t] = level
    return out


def _lag(target: NDArray[np.float64], rows: float = 6.0) -> NDArray[np.float64]:
    """First-order response with this time constant."""
    out = np.empty_like(target)
    level = target[0]
    for t, goal in enumerate(target):
        level += (goal - level) / rows
        out[t] = level
    return out


def _disturb(random: RandomState, values: dict[str, NDArray[np.float64]], rows: int) -> list[Span]:
    """Lay the events over the readings, each in a slot of its own, and say where."""
    quiet = 4 * 7 * DAY
    slot = (rows - quiet) // len(EVENTS)
    times = pd.date_range(ORIGIN, periods=rows, freq="30min")
    spans: list[Span] = []
    for number, (kind, line, sensors, length, strength) in enumerate(EVENTS):
        low = quiet + number * slot + random.randint(0, slot - length - DAY // 4)
        names = tuple(f"{line}_{sensor}" for sensor in sensors)
        noises = [NOISE[sensor] for sensor in sensors]
        _apply(random, kind, [values[name][low : low + length] for name in names], noises, strength)
        spans.append(("plant", times[low], times[low + length - 1], kind, names))
    return spans


def _apply(
    random: RandomState, kind: str, pieces: list[NDArray[np.float64]], noises: list[float], strength: float
) -> None:
    """Change the readings of one event in place."""
    if kind == "swapped":
        pieces[0][:], pieces[1][:] = pieces[1].copy(), pieces[0].copy()
        return
    for number, (piece, noise) in enumerate(zip(pieces, noises, strict=True)):
        if kind == "stuck":
            piece[:] = piece[0]
        elif kind == "noise":
            piece += strength * noise * random.standard_normal(len(piece))
        elif kind == "drift":
            piece += strength * noise * np.linspace(0, 1, len(piece))
        else:  # a leak raises the flow and lowers the pressure behind it
            piece += strength * noise * (-1 if kind == "leak" and number else 1)


def write_plant(folder: Path) -> None:
    """Write plant.csv.gz and plant_labels.csv, the files that come with the package."""
    panel, labels = plant()
    frame = pd.DataFrame(panel.series(0).numpy(), columns=list(panel.channels), index=panel.times(0))
    frame.to_csv(folder / "plant.csv.gz", index_label="ds", compression={"method": "gzip", "mtime": 0})
    labels.frame().to_csv(folder / "plant_labels.csv", index=False)


def cycles(
    series: int = 3, rows: int = 400, seasons: tuple[int, ...] = (24,), noise: float = 0.1, seed: int = 0
) -> Panel:
    """Sums of sines of these season lengths, phases and levels of their own, plus white noise; amplitude 1."""
    random = RandomState(seed)
    time = np.arange(rows)
    waves = [
        sum(np.sin(2 * np.pi * (time / m + random.random_sample())) for m in seasons) + random.normal(5, 1)
        for _ in range(series)
    ]
    return panel_of([torch.from_numpy(wave + noise * random.standard_normal(rows)) for wave in waves], seasons=seasons)


def walks(lengths: tuple[int, ...] = (200, 150, 80), channels: int = 1, seed: int = 0) -> Panel:
    """Gaussian random walks of these lengths: a ragged panel."""
    random = RandomState(seed)
    return panel_of([torch.from_numpy(random.standard_normal((rows, channels)).cumsum(0)) for rows in lengths])


def intermittent(series: int = 3, rows: int = 400, share: float = 0.15, mean: float = 4.0, seed: int = 0) -> Panel:
    """Demand that is zero but for a share of the rows, then 1 + Poisson(mean − 1)."""
    random = RandomState(seed)
    demand = [(random.random_sample(rows) < share) * (1 + random.poisson(mean - 1, rows)) for _ in range(series)]
    return panel_of([torch.from_numpy(sizes.astype(np.float64)) for sizes in demand])
