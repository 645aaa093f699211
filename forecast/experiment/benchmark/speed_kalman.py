"""Speed of the Kalman engine beside its peers: updates per CPU-second on one thread, the best of a few rounds in turn.

Model: local linear trend and a season of dummies, states 2, 13 and 25 as statsmodels counts, 10 % of the values missing,
parameters of each series its own unless said. A peer runs as a process of its own (`.venv-peers`, see `make peers`) on
the same file of data, on one thread, and times itself: scripts in tests/bench/peers, called with a case and a file.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from forecast.experiment.benchmark.peers import ask
from forecast.models.kalman import Kalman
from forecast.models.stepper import Stepper
from forecast.ssm import kalman
from forecast.ssm.fit import minimise
from forecast.ssm.season import Season
from forecast.ssm.structural import Structural
from forecast.types import Past, take

LONG, SENSORS = 100_000, 10_000
RATE = "M_updates_per_cpu_s"
Figure = tuple[str, str, float, str]


def series(count: int, rows: int, season: int, missing: float = 0.1) -> Tensor:
    """Random walks with a season and noise (count rows)."""
    generator = torch.Generator().manual_seed(0)
    steps, noise = torch.randn(2, count, rows, dtype=torch.float64, generator=generator)
    phase = torch.rand(count, 1, dtype=torch.float64, generator=generator)
    turn = torch.arange(rows, dtype=torch.float64) / max(season, 2) + phase
    y = steps.cumsum(1) + noise + 3 * torch.sin(2 * torch.pi * turn)
    y[torch.rand(y.shape, generator=generator) < missing] = torch.nan
    return y


def structural(season: int) -> Structural:
    """Level and slope, and a ring of dummies."""
    return Structural("full", (Season(season),) if season else ())


def parameters(model: Structural, count: int, spread: float = 0.3) -> Tensor:
    """Log variances (count P) around 1, 0.5, 0.01, 0.1."""
    generator = torch.Generator().manual_seed(1)
    centre = torch.tensor([1.0, 0.5, 0.01, 0.1], dtype=torch.float64)[: model.parameters].log()
    noise = torch.randn(count, model.parameters, dtype=torch.float64, generator=generator)
    return centre + spread * noise


def figures(out: Path, count: int, rows: int, rounds: int, peers: tuple[str, ...]) -> Iterator[Figure]:
    """Case, subject, figure, unit of everything measured."""
    for season in (0, 12, 24):
        yield from _likelihoods(out, f"likelihood, state {_state(season)}", count, rows, season, rounds, peers)
    yield from _likelihoods(out, "one set of parameters, state 13", count, rows, 12, rounds, peers, 0.0, 0.0)
    for season in (0, 12):
        yield from _likelihoods(out, f"one long series, state {_state(season)}", 1, LONG, season, rounds, peers)
    yield from _fits(out, count, rounds, peers)
    for season in (1, 12):
        for sensors in (1, SENSORS):
            yield from _live(season, sensors, rounds)


def _state(season: int) -> int:
    return 2 + max(season - 1, 0)


def _likelihoods(
    out: Path,
    case: str,
    count: int,
    rows: int,
    season: int,
    rounds: int,
    peers: tuple[str, ...],
    missing: float = 0.1,
    spread: float = 0.3,
) -> Iterator[Figure]:
    model, y = structural(season), series(count, rows, season, missing)
    theta, start = parameters(model, count, spread), model.start(count, y)
    coefs, values = model.coefficients(theta), y[..., None]
    shared = spread == 0.0 and count > 1

    def ours() -> float:
        return _cpu(lambda: kalman.loglik(model.program, coefs, start, values))

    def score() -> float:
        def work() -> None:
            free = theta.clone().requires_grad_()
            torch.autograd.grad(kalman.loglik(model.program, model.coefficients(free), start, values).sum(), free)

        return _cpu(work)

    ours()
    rates = {"ours": count * rows / 1e6 / min(ours() for _ in range(rounds))}
    if not shared and count > 1:
        score()
        rates["ours, with score"] = count * rows / 1e6 / min(score() for _ in range(rounds))
    file = out / "data.npz"
    np.savez(file, y=y.numpy(), variances=theta.exp().numpy(), season=season)
    for name in peers:
        found = ask(name, "shared" if shared else "likelihood", file, rounds)
        if found is not None:
            rates[name] = found["updates"] / 1e6 / found["cpu_s"]
    yield from ((case, subject, rate, RATE) for subject, rate in rates.items())


def _fits(out: Path, count: int, rounds: int, peers: tuple[str, ...]) -> Iterator[Figure]:
    model, y = structural(12), series(count, 200, 12)
    start, seen, values = model.start(count, y), y.isfinite().sum(1), y[..., None]

    def objective(x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        found = kalman.loglik(model.program, model.coefficients(x), take(start, rows), values[rows])
        value = -found / seen[rows]
        (slope,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), slope

    low, high = model.bounds(y)
    ends = []
    cpu = min(
        _cpu(lambda: ends.append(minimise(objective, model.starts(count, y)[0], low, high))) for _ in range(rounds)
    )
    yield "fit of 200 rows, state 13", "ours", 1e3 * cpu / count, "cpu_ms_per_series"
    file = out / "data.npz"
    np.savez(file, y=y.numpy(), variances=parameters(model, count).exp().numpy(), season=12)
    found = ask("statsmodels", "fit", file, 1) if "statsmodels" in peers else None
    if found is not None:
        yield "fit of 200 rows, state 13", "statsmodels", 1e3 * found["cpu_s"] / found["fits"], "cpu_ms_per_series"
        ours = -ends[0].value * seen
        lead = min(float(ours[s]) - llf for s, llf in enumerate(found["loglik"]))
        yield "fit of 200 rows, state 13", "ours", lead, "least_loglik_above_statsmodels"


def _live(season: int, sensors: int, rounds: int) -> Iterator[Figure]:
    model, y = Kalman("full", season), series(sensors, 60, season)[..., None]
    past = Past.of(y)
    fitted = take(model.estimate(Past.of(y[:1])), torch.zeros(sensors, dtype=torch.int64))
    state = model.warm_up(model.initial_state(fitted, past.static), past)
    row, stepper = next(past.rows(59, 60).each()), Stepper(model, state)
    times = 20 if sensors > 1 else 2000
    case = f"live row, {sensors} series, state {_state(season if season > 1 else 0)}"
    for subject, work in (("step", lambda: model.step(state, row)), ("Stepper", lambda: stepper.step(row))):
        work()
        spent = min(_cpu(lambda w=work: [w() for _ in range(times)]) for _ in range(rounds))  # type: ignore[misc]
        yield case, f"ours, {subject}", 1e6 * spent / times, "cpu_us_per_row"


def _cpu(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin
