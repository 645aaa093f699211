"""The tables of a comparison's run folder: its report is drawn from them alone.

Their columns are told by `forecast.experiment.tables`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import InputError
from forecast.metrics import METRICS

REFERENCE = "seasonal_naive"
MOST = 4  # models drawn together
NAMES = (
    "leaderboard",
    "forecasts",
    "history",
    "scores",
    "by_lead",
    "calibration",
    "cost",
    "failures",
    "pairs",
    "ranks",
)
PARQUET = ("forecasts", "history", "scores")
WORDS = ("model", "metric", "versus_seasonal_naive", "versus_best", "unique_id", "cutoff", "reason", "against")


@dataclass(frozen=True)
class Tables:
    """What a run folder holds."""

    summary: dict[str, Any]
    leaderboard: pd.DataFrame
    forecasts: pd.DataFrame
    history: pd.DataFrame
    scores: pd.DataFrame
    by_lead: pd.DataFrame
    calibration: pd.DataFrame
    cost: pd.DataFrame
    failures: pd.DataFrame
    pairs: pd.DataFrame
    ranks: pd.DataFrame

    @property
    def best(self) -> str:
        """The winner."""
        return str(self.summary["best"])

    @property
    def models(self) -> list[str]:
        """All models, the best first."""
        return list(self.summary["models"])

    @property
    def notes(self) -> dict[str, str]:
        """What is to be said beside the figures of some models."""
        return dict(self.summary.get("notes", {}))

    @property
    def metric(self) -> str:
        """The metric that ranks."""
        return str(self.summary["metric"])

    @property
    def title(self) -> str:
        """The name of that metric."""
        return title(self.metric)

    @property
    def shown(self) -> list[str]:
        """The models drawn together: the best ones, and seasonal naive."""
        first = self.models[:MOST]
        return first if REFERENCE in first or REFERENCE not in self.models else [*first[: MOST - 1], REFERENCE]

    @property
    def won(self) -> pd.DataFrame:
        """The winner's forecasts, where there are any."""
        mine = self.forecasts["model"] == self.best
        return self.forecasts[mine & self.forecasts["q0.5"].notna()]

    @property
    def errors(self) -> pd.DataFrame:
        """The winner's figures by series and cutoff."""
        return self.scores[(self.scores["model"] == self.best) & (self.scores["metric"] == self.metric)]

    @property
    def hardest(self) -> list[str]:
        """Series by the winner's mean error, the worst first."""
        mean = self.errors.groupby("unique_id")["value"].mean().sort_values(ascending=False, kind="stable")
        return [str(name) for name in mean.index]


def title(word: str) -> str:
    """The name of a metric; the word itself for one that is not known any more."""
    return METRICS[word].title if word in METRICS else "OWA" if word == "owa" else word


def read(folder: Path) -> Tables:
    """The tables of the run folder of a finished `forecast compare`."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return Tables(summary, *(_table(folder, name) for name in NAMES))
    except OSError as error:
        missing = Path(error.filename).name if error.filename else "a table"
        hint = "a report is drawn from the tables of a finished `forecast compare`"
        raise InputError(f"{folder}: {missing} is not there; {hint}") from error


def _table(folder: Path, name: str) -> pd.DataFrame:
    """A table, its names as text: a model may be called 1, and a series NA."""
    if name in PARQUET:
        return pd.read_parquet(folder / f"{name}.parquet")
    frame = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    for column in frame.columns.difference(list(WORDS)):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return frame
