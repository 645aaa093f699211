"""The libraries that we are measured against, each case in a process of its own on one thread (`make peers`).

`ask` is for the speed suites: a peer gets a file of data and times itself. `figures` is for the competitions: an automatic model of
statsforecast gets the same training rows and is scored by its point forecast and its 90 % and 95 % intervals; where it fails,
the seasonal naive forecast stands in, as in the competition. `profiles` is for odd patterns.
"""

import json
import logging
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import InputError
from forecast.metrics import naive_errors
from forecast.series.panel import Panel

ROOT = Path(__file__).parents[3]
SCRIPTS, PYTHON = ROOT / "tests/bench/peers", ROOT / ".venv-peers/bin/python"
logger = logging.getLogger("forecast")


def ask(name: str, case: str, file: Path, rounds: int) -> dict[str, Any] | None:
    """What a peer's script says of itself; None and a line in the log where it is absent or has no such case."""
    if not there(name):
        return None
    done = _alone(name, case, file, rounds, timeout=600)
    if done.returncode:
        logger.info("%s, %s: skipped, %s", name, case, _last_line(done))
        return None
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def figures(word: str, panel: Panel, ends: NDArray[np.int64], horizon: int, folder: Path) -> dict[str, float] | None:
    """Figures of one model, named as in `competitions`; None and a line in the log where there are no peers."""
    if not there("statsforecast"):
        logger.info("statsforecast: absent, make peers installs it; %s skipped", word)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    rows = [panel.series(s)[:, 0].double() for s in range(len(panel))]
    past = [y[: int(end)] for y, end in zip(rows, ends, strict=True)]
    actual = torch.stack([y[int(end) : int(end) + horizon] for y, end in zip(rows, ends, strict=True)])
    first = np.cumsum([0, *map(len, past)])
    np.savez(folder / "series.npz", values=torch.cat(past), first=first, season=panel.season, horizon=horizon)
    done = _alone("statsforecast", word, folder / "series.npz", folder / f"{word}.npy")
    if done.returncode:
        raise InputError(f"statsforecast {word}: {_last_line(done)}")
    spent = json.loads(done.stdout.splitlines()[-1])
    made = torch.from_numpy(np.load(folder / f"{word}.npy"))
    naive = torch.stack([_repeated(y, panel.season, horizon) for y in past])
    made = torch.where(made.isfinite(), made, naive[:, None])
    scale = torch.cat([naive_errors(y[None, :, None], panel.season)[0] for y in past])[:, 0]
    return scores(made, actual, scale) | {
        "series": len(panel), "points": actual.numel(), "failed": spent["failed"], "cpu_s": spent["cpu_s"],
    }  # fmt: skip


def profiles(series: list[NDArray[np.float64]], sizes: list[int], folder: Path) -> list[NDArray[np.float64]]:
    """stumpy's matrix profile of each series (T) for its length of a pattern, by first rows."""
    folder.mkdir(parents=True, exist_ok=True)
    first = np.cumsum([0, *map(len, series)])
    np.savez(folder / "patterns.npz", values=np.concatenate(series), first=first, sizes=np.array(sizes))
    done = _alone("stumpy", folder / "patterns.npz", folder / "profiles.npy")
    if done.returncode:
        raise InputError(f"stumpy: {_last_line(done)}")
    return np.split(np.load(folder / "profiles.npy"), first[1:-1])


def there(name: str) -> bool:
    """Whether a peer is installed; a line in the log where it is not."""
    found = PYTHON.exists() and (SCRIPTS / f"{name}.py").exists()
    if not found:
        logger.info("%s: absent, make peers installs it; skipped", name)
    return found


def _alone(name: str, *words: object, timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
    """A peer's script, run to its end on one thread."""
    threads = {key: "1" for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    alone = os.environ | threads | {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    command = [str(PYTHON), "-P", str(SCRIPTS / f"{name}.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=alone, timeout=timeout, check=False)


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    return (done.stderr.strip().splitlines() or ["no message"])[-1]


def scores(made: Tensor, actual: Tensor, scale: Tensor) -> dict[str, float]:
    """sMAPE, MASE, coverage of 90 % and MSIS at 95 % of point forecasts and bounds (S 5 H), scales (S)."""
    point, low, high, lower, upper = made.unbind(1)
    error = (actual - point).abs()
    percent = 200 * error / (actual.abs() + point.abs())
    beyond = (lower - actual).clamp(min=0) + (actual - upper).clamp(min=0)
    inside = ((actual >= low) & (actual <= high)).double()
    known = scale > 0
    thirds = {f"coverage_{k + 1}": float(part.mean()) for k, part in enumerate(inside.tensor_split(3, 1))}
    return {
        "mase": float((error.mean(1) / scale)[known].mean()),
        "smape": float(percent.mean(1).mean()),
        "smape_points": float(percent.mean()),
        "coverage": float(inside.mean()),
        "msis": float(((upper - lower + 40 * beyond).mean(1) / scale)[known].mean()),
        **thirds,
    }


def _repeated(y: Tensor, season: int, horizon: int) -> Tensor:
    """The last season, again and again."""
    last = y[-min(season, len(y)) :]
    return last[torch.arange(horizon) % len(last)]
