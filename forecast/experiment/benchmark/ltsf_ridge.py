"""Every model of a long-horizon table against ridge: the mean difference of squared errors and its block-bootstrap interval.

For each horizon ridge is fitted on the training rows with each of some contexts, and the validation windows choose among them.
The difference is taken window by window on the test rows (`forecast.metrics.overlap`), for each horizon and for their mean.
"""

import os

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from forecast.experiment.benchmark import Results
from forecast.experiment.benchmark.ltsf_windows import Kept, evaluate
from forecast.experiment.members import facts_of, member
from forecast.metrics import overlap
from forecast.series.protocol import Dataset

RIDGE = "ridge, context chosen"
AGAINST = " less ridge"


def beside(
    dataset: Dataset, labels: list[str], horizons: tuple[int, ...], contexts: tuple[int, ...], made: Results, kept: Kept
) -> None:
    """Ridge's figures on a set, and the differences of the models called `labels` from it."""
    for horizon in horizons:
        if not made.has(f"{dataset.name}/{horizon}", RIDGE):
            _ridge(dataset, horizon, contexts, made, kept)
    theirs = {horizon: kept.found(horizon, RIDGE) for horizon in horizons}
    for label in labels:
        found = {}
        for horizon in horizons:
            mine, its = kept.found(horizon, label), theirs[horizon]
            if mine is not None and its is not None:
                found[horizon] = mine - its
                _tell(made, f"{dataset.name}/{horizon}", label, overlap.gap([found[horizon]], horizon))
        if len(found) == len(horizons) > 1:
            _tell(made, f"{dataset.name}/mean", label, overlap.gap(list(found.values()), max(horizons)))


def _tell(made: Results, case: str, label: str, gap: overlap.Gap) -> None:
    if not made.has(case, label + AGAINST):
        made.add(case, label + AGAINST, **gap._asdict())


def _ridge(dataset: Dataset, horizon: int, contexts: tuple[int, ...], made: Results, kept: Kept) -> None:
    """Fit it with every context and score the test windows with the one that has the least error on validation windows."""
    panel, protocol, end = dataset.panel, dataset.protocol, int(dataset.borders.train[0])
    best = None
    with torch.no_grad():
        for context in contexts:
            model = member("ridge", {"context": context}).build(horizon=horizon, facts=facts_of(panel))
            parameters = model.estimate(panel.head(dataset.borders.train).past([end]))
            error = evaluate(model, parameters, panel, protocol, horizon, test=False).mse
            if best is None or error < best[0]:
                best = error, context, model, parameters
    assert best is not None
    score = evaluate(best[2], best[3], panel, protocol, horizon)
    kept.keep(horizon, RIDGE, score.square)
    made.add(f"{dataset.name}/{horizon}", RIDGE, **score.figures(), context=best[1], validation_mse=best[0])


def show(made: pd.DataFrame) -> None:
    """The differences, one row for each set, horizon and model."""
    rows = made[made["subject"].str.endswith(AGAINST)]
    if rows.empty:
        return
    view = Table(title=f"MSE less that of {RIDGE} on validation rows, 95 % interval by blocks of windows")
    for word in ("data", "horizon", "model", "gap", "from", "to", "in a block", "blocks"):
        view.add_column(word, justify="left" if word in ("data", "model") else "right")
    wide = rows.pivot(index=["case", "subject"], columns="unit", values="value").reset_index()
    wide = wide.set_index("case").loc[rows["case"].unique()].reset_index()
    for row in wide.to_dict("records"):
        name, _, horizon = str(row["case"]).rpartition("/")
        figures = [f"{row[unit]:+.4f}" for unit in ("gap", "low", "high")]
        counts = [f"{row[unit]:.0f}" for unit in ("block", "blocks")]
        view.add_row(name, horizon, str(row["subject"]).removesuffix(AGAINST), *figures, *counts)
    Console(width=None if os.isatty(1) else 120).print(view)
