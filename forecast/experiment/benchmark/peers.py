"""Automatic models of statsforecast on the series of a competition, in a process of their own (`make peers`).

A peer is one thread, gets the same training rows and times itself. It is scored by its point forecast and its 90 % and
95 % intervals; where it fails, the seasonal naive forecast stands in, as in the competition.
"""

import json
import logging
import os
import subprocess
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import InputError
from forecast.metrics import naive_errors
from forecast.series.panel import Panel

ROOT = Path(__file__).parents[3]
SCRIPT, PYTHON = ROOT / "tests/bench/peers/statsforecast.py", ROOT / ".venv-peers/bin/python"
logger = logging.getLogger("forecast")


def figures(word: str, panel: Panel, ends: NDArray[np.int64], horizon: int, folder: Path) -> dict[str, float] | None:
    """Figures of one model, named as in `competitions`; None and a line in the log where there are no peers."""
    if not (SCRIPT.exists() and PYTHON.exists()):
        logger.info("statsforecast: absent, make peers installs it; %s skipped", word)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    rows = [panel.series(s)[:, 0].double() for s in range(len(panel))]
    past = [y[: int(end)] for y, end in zip(rows, ends, strict=True)]
    actual = torch.stack([y[int(end) : int(end) + horizon] for y, end in zip(rows, ends, strict=True)])
    first = np.cumsum([0, *map(len, past)])
    np.savez(folder / "series.npz", values=torch.cat(past), first=first, season=panel.season, horizon=horizon)
    threads = {key: "1" for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    command = [str(PYTHON), "-P", str(SCRIPT), word, str(folder / "series.npz"), str(folder / f"{word}.npy")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads, check=False)
    if done.returncode:
        raise InputError(f"statsforecast {word}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    spent = json.loads(done.stdout.splitlines()[-1])
    made = torch.from_numpy(np.load(folder / f"{word}.npy"))
    naive = torch.stack([_repeated(y, panel.season, horizon) for y in past])
    made = torch.where(made.isfinite(), made, naive[:, None])
    scale = torch.cat([naive_errors(y[None, :, None], panel.season)[0] for y in past])[:, 0]
    return scores(made, actual, scale) | {
        "series": len(panel), "points": actual.numel(), "failed": spent["failed"], "cpu_s": spent["cpu_s"],
    }  # fmt: skip


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
