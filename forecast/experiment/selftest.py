"""forecast selftest: does this installation work? Versions, devices, and every member on a small series in both of its
forms; and a spike in a file, which has to come out of `forecast watch` as an alert."""

import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from packaging.requirements import Requirement

from forecast.experiment.config import Selftest
from forecast.experiment.members import Facts, Member, member, members
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Past

HORIZON = 8
SEASON = 12
ROWS = 120
WATCHED, SPIKE, FIRST = 200, 170, 1_700_000_000  # rows of a watch, the row with the spike, the time of the first
TOLERANCE = 1e-4  # of the series' spread, between the two forms of a float32 model


def run(config: Selftest, out: Path) -> int:
    """Print a line for every check; 1 if one of them fails."""
    print(surroundings())
    failures = [f"wrong version: {line}" for line in versions()]
    for word in members():
        start = time.perf_counter()
        problem = check(member(word))
        seconds = time.perf_counter() - start
        print(f"{'failed' if problem else 'ok':6}  {word:20} {seconds:6.2f} s  {problem or ''}".rstrip())
        failures += [f"{word}: {problem}"] if problem else []
    start = time.perf_counter()
    problem = watched()
    print(
        f"{'failed' if problem else 'ok':6}  {'watch':20} {time.perf_counter() - start:6.2f} s  {problem or ''}".rstrip()
    )
    failures += [f"watch: {problem}"] if problem else []
    for line in failures:
        print(f"FAILED  {line}")
    (out / "selftest.txt").write_text("\n".join(failures or ["all is well"]) + "\n", encoding="utf-8")
    print(f"{len(failures)} failures" if failures else "all is well")
    return 1 if failures else 0


def surroundings() -> str:
    """Python, torch and what it can compute on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return f"Python {platform.python_version()}, torch {torch.__version__}, {device}"


def versions() -> Iterator[str]:
    """Installed packages that are not what we ask for."""
    for line in importlib.metadata.requires("forecast") or []:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            installed = importlib.metadata.version(wanted.name)
            if not wanted.specifier.contains(installed, prereleases=True):
                yield f"{wanted.name} {installed}, needed {wanted.specifier}"


def series() -> Past:
    """Two seeded series with a season and a gap."""
    rows = torch.arange(ROWS, dtype=torch.float64)
    noise = torch.randn(2, ROWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = 10 + 3 * torch.sin(2 * torch.pi * rows / SEASON) + 0.5 * noise
    values[1, 50:53] = torch.nan
    return Past.of(values[..., None])


@torch.no_grad()
def check(one: Member) -> str | None:
    """What is wrong with a member, if anything is."""
    past = series()
    try:
        model: Forecaster = one.build(horizon=HORIZON, facts=Facts(SEASON, (SEASON,), 1, 0, 0)).eval()
        start = model.initial_state(model.estimate(past), past.static)
        future = Future.of(past, HORIZON)
        parallel = model.predict(model.warm_up(start, past), future).median
        state = start
        for row in past.each():
            state = model.step(state, row)
        recurrent = model.predict(state, future).median
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if not bool(parallel.isfinite().all()):
        return "its forecast is missing"
    difference = float((parallel - recurrent).abs().max())
    return f"its two forms differ by {difference:.2g}" if difference > TOLERANCE * 3 else None


def watched() -> str | None:
    """What is wrong with a watch, if anything is: rows with a spike in a file, a process of its own, an alert in another file."""
    rows = torch.arange(WATCHED)
    values = 20 + torch.randn(2, WATCHED, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[1, SPIKE] += 40
    lines = [f"{FIRST + 60 * int(t)},{'calm' if s == 0 else 'spiky'},{values[s, t]:.3f}" for t in rows for s in (0, 1)]
    with tempfile.TemporaryDirectory() as folder:
        path, alerts = Path(folder) / "rows.csv", Path(folder) / "alerts.jsonl"
        path.write_text("\n".join(["time,sensor,value", *lines, ""]), encoding="utf-8")
        words = [f"source.path={path}", "source.follow=false", f"sinks=[{{name: jsonl, path: {alerts}}}]"]
        words += [f"state={folder}/state", f"out={folder}/out", "warmup=120", "season=1"]
        command = [sys.executable, "-m", "forecast", "watch", "source=file", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            return f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
        told = [json.loads(line) for line in alerts.read_text().splitlines()] if alerts.exists() else []
    peak = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(FIRST + 60 * SPIKE))
    if not any((alert["sensor"], alert["peak_at"], alert["direction"]) == ("spiky", peak, "up") for alert in told):
        return f"the spike at {peak} came out as no alert; {len(told)} others did"
    return None
