"""The public functions: what the verbs do, from Python, on panels in memory."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from forecast import artefact
from forecast.errors import InputError
from forecast.experiment import predict as predicting
from forecast.experiment.backtest import Plan, usual_cutoffs
from forecast.experiment.members import labelled, member
from forecast.experiment.predict import Ready
from forecast.experiment.runs import MODEL
from forecast.experiment.tables import SHOWN
from forecast.experiment.weights import built, trainer
from forecast.metrics import METRICS
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.series.split import cutoffs as rolling

Model = str | Mapping[str, Any]


def fit(model: Model, panel: Panel, horizon: int | None = None, *, seed: int = 0, **settings: Any) -> Forecaster:
    """A forecaster by its word (`"hybrid"`), its weights trained on the panel; settings are its own parameters.

    Models without weights are ready at once: `predict` estimates their parameters on the panel it is given.
    """
    torch.manual_seed(seed)
    return built(member(model, settings), panel, horizon or max(panel.season, 1), panel.lengths.numpy(), seed)


def load(path: str | Path) -> Forecaster:
    """The forecaster of a run folder of `forecast train`, or of a model file."""
    place = Path(path)
    return artefact.load(place / MODEL if place.is_dir() else place).model


def predict(
    model: Forecaster, panel: Panel, horizon: int | None = None, levels: Sequence[float] = SHOWN
) -> pd.DataFrame:
    """unique_id, ds, model, mean, q0.05 … q0.95 of the rows after every series' end."""
    lead = horizon or getattr(model, "horizon", None) or max(panel.season, 1)
    return predicting.predict(Ready(type(model).__name__, model, None, lead), panel, lead, tuple(levels))


def compare(
    panel: Panel,
    models: Sequence[Model],
    horizon: int | None = None,
    cutoffs: int | None = None,
    *,
    metrics: Sequence[str] = ("mase", "rmsse", "smape", "wql", "coverage"),
    refit: int = 1,
    seed: int = 0,
    processes: int = 1,
) -> pd.DataFrame:
    """The leaderboard, models from best to worst: model, metric, value, low, high, versus_seasonal_naive, versus_best."""
    from forecast.experiment.compare import compare as everybody

    unknown = [word for word in metrics if word not in METRICS]
    if unknown:
        raise InputError(f"unknown metric {unknown[0]!r}; choose from {', '.join(sorted(METRICS))}")
    lead = horizon or max(panel.season, 1)
    ends = rolling(panel, lead, usual_cutoffs(panel, lead) if cutoffs is None else cutoffs)
    plan = Plan(panel, ends, lead, tuple(metrics), refit=refit, seed=seed, processes=processes)
    members = labelled([member(model) for model in models])
    with tempfile.TemporaryDirectory() as folder:
        return everybody(plan, members, Path(folder) / "cells", trainer()).table
