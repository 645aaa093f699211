"""A small run folder of a comparison, and names that a page must show as they are."""

import json
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
NASTY = (
    "<img src=x onerror=alert(1)>",
    "$\\frac{$",
    "_x",
    "pump 🚰 λ",
    "line\nbreak\x07",
    "a" * 300,
    "NA",
    "</svg>",
    "{{ 7*7 }}",
)


def folder(
    where: Path,
    series: tuple[str, ...] = ("a", "b"),
    models: tuple[str, ...] = ("ridge", "seasonal_naive", "naive"),
    cutoffs: int = 10,
    horizon: int = 6,
    clock: str | None = "h",
    failed: tuple[str, ...] = (),
    told: bool = True,
) -> Path:
    """Tables as `forecast compare` writes them, of Gaussian forecasts of a cycle; `failed` models forecast nothing."""
    frames, past = [], []
    rng = np.random.default_rng(0)
    rows = 48 + cutoffs * horizon
    times = pd.RangeIndex(rows) if clock is None else pd.date_range("2026-03-02", periods=rows, freq=clock)
    for name in series:
        y = 10 + 3 * np.sin(2 * np.pi * np.arange(rows) / 24) + rng.standard_normal(rows)
        past.append(pd.DataFrame({"unique_id": name, "ds": times, "y": y}))
        for m, model in enumerate(models):
            frames += [
                _cell(name, model, times, y, 48 + k * horizon, horizon, m, model in failed, rng) for k in range(cutoffs)
            ]
    forecasts = pd.concat(frames, ignore_index=True)
    error = forecasts.assign(value=(forecasts["y"] - forecasts["q0.5"]).abs(), metric="mase").dropna(subset=["value"])
    scores = error.groupby(["model", "unique_id", "cutoff", "metric"], as_index=False, sort=False)["value"].mean()
    leads = error.groupby(["model", "metric", "lead"], as_index=False, sort=False)["value"].mean()
    board = pd.DataFrame([_row(model, error, told, failed) for model in models])
    where.mkdir(parents=True, exist_ok=True)
    forecasts.to_parquet(where / "forecasts.parquet", index=False)
    pd.concat(past).to_parquet(where / "history.parquet", index=False)
    scores.to_parquet(where / "scores.parquet", index=False)
    tables = {"leaderboard": board, "by_lead": leads, "calibration": _calibration(forecasts, models)}
    tables["cost"] = pd.DataFrame(
        {"model": models, "fit_cpu_s": 1.1e-5, "predict_cpu_s": 12.345678, "peak_mb": 1.62109375, "parameters": 3}
    )
    tables["failures"] = pd.DataFrame(
        [(m, s, "0", "too short") for m in failed for s in series], columns=["model", "unique_id", "cutoff", "reason"]
    )
    others = [(a, b) for a in models for b in models if a != b]
    tables["pairs"] = pd.DataFrame(others, columns=["model", "against"]).assign(
        win_rate=0.5, tested=2, better=1, worse=0
    )
    tables["ranks"] = pd.DataFrame({"model": models, "rank": [float(place) for place in range(1, len(models) + 1)]})
    for name, table in tables.items():
        table.to_csv(where / f"{name}.csv", index=False)
    (where / "summary.json").write_text(
        json.dumps(_summary(series, models, cutoffs, horizon, failed)), encoding="utf-8"
    )
    return where


def _cell(
    name: str,
    model: str,
    times: pd.Index,
    y: Any,
    at: int,
    horizon: int,
    level: int,
    failed: bool,
    rng: np.random.Generator,
) -> pd.DataFrame:
    ahead = slice(at, at + horizon)
    middle = y[ahead] + (0.5 + level) * rng.standard_normal(horizon) + (np.nan if failed else 0.0)
    frame = pd.DataFrame({"unique_id": name, "ds": times[ahead], "model": model, "mean": middle})
    frame = frame.assign(**{f"q{q}": middle + (0.5 + level) * NormalDist().inv_cdf(q) for q in LEVELS})
    return frame.assign(cutoff=times[at], lead=np.arange(1, horizon + 1), y=y[ahead])


def _row(model: str, error: pd.DataFrame, told: bool, failed: tuple[str, ...]) -> dict[str, object]:
    value = float(error.loc[error["model"] == model, "value"].mean()) if model not in failed else np.nan
    word = (
        ""
        if model == "seasonal_naive" or not told or model in failed
        else "better"
        if model == "ridge"
        else "cannot tell"
    )
    spread = 0.1 if told else np.nan
    return {
        "model": model,
        "metric": "mase",
        "value": value,
        "low": value - spread,
        "high": value + spread,
        "versus_seasonal_naive": word,
        "versus_best": word,
    }


def _calibration(forecasts: pd.DataFrame, models: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for model in models:
        one = forecasts[forecasts["model"] == model].dropna(subset=["q0.5"])
        rows += [(model, q, float((one["y"] <= one[f"q{q}"]).mean()) if len(one) else np.nan, len(one)) for q in LEVELS]
    return pd.DataFrame(rows, columns=["model", "level", "below", "count"])


def _summary(
    series: tuple[str, ...], models: tuple[str, ...], cutoffs: int, horizon: int, failed: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "verdict": f"On {len(series)} series, {models[0]} comes first.",
        "details": ["Averages are over the outcomes that every model forecast."],
        "data": series[0],
        "series": len(series),
        "channels": 1,
        "cutoffs": cutoffs,
        "horizon": horizon,
        "season": 24,
        "seasons": [24],
        "clock": "every hour",
        "metric": "mase",
        "models": list(models),
        "best": models[0],
        "cells": 1,
        "cells_dropped": 0,
        "dropped_undefined": 0,
        "ranks": {"p": 0.01, "distance": 0.7, "groups": [list(models[1:])], "units": 20, "of": "series"},
        "failures": {model: len(series) * (model in failed) for model in models},
        "notes": {},
        "stand_in": None,
        "seed": 0,
        "version": "0",
        "command": "forecast compare data=a",
        "created": "2026-11-25T10:00:00+0000",
    }
