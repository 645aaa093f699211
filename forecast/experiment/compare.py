"""`forecast compare`: every model forecasts the same cells, and a leaderboard says who is better and how sure that is."""

import json
import logging
import os
import shlex
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from forecast import artefact
from forecast.durable import write_durably
from forecast.errors import InputError, unknown
from forecast.experiment import config, data, pairs, runs, tables
from forecast.experiment import leaderboard as board_of
from forecast.experiment.backtest import Plan, backtest, usual_cutoffs
from forecast.experiment.leaderboard import Leaderboard
from forecast.experiment.members import Member, facts_of
from forecast.experiment.tables import Cells
from forecast.experiment.tracking import Recorder, recording
from forecast.experiment.training import train
from forecast.experiment.work import Bounds, Fitted, arrays, measured
from forecast.metrics import METRICS
from forecast.models.forecaster import Forecaster
from forecast.report import page
from forecast.report.ranking import not_kept
from forecast.series.panel import Panel
from forecast.series.protocol import LastRows, Protocol
from forecast.series.split import cutoffs

logger = logging.getLogger("forecast")


@dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    plan: Plan
    cells: Cells
    board: Leaderboard
    verdict: str
    details: list[str]

    @property
    def table(self) -> pd.DataFrame:
        """The leaderboard in long form."""
        return board_of.table(self.board)


def run(config: config.Compare, out: Path) -> int:
    """The verb: read, compare, write the tables, record, draw the report."""
    source = data.load(config.data)
    panel = source.panel if config.season is None else replace(source.panel, seasons=(config.season,))
    horizon = config.horizon or (
        source.protocol.horizons[0] if source.protocol and source.protocol.horizons else panel.season
    )
    plan = plan_of(config, panel, horizon, source.protocol)
    cells_at = runs.find(config.resume, Path(config.out), ["compare"], finished=False) if config.resume else out
    with recording(config.tracking, Path(config.out), f"compare {source.name}", {"verb": "compare"}) as recorder:
        done = compare(plan, config.models, cells_at / "cells", config.trainer, config.failed)
        write(done, source.name, out, config)
        page.write(out)
        record(done, out, recorder, config)
    show(done)
    print(f"\n{done.verdict}\nReport: {out / 'report.html'}")
    return 0


def plan_of(config: config.Compare, panel: Panel, horizon: int, protocol: Protocol | None) -> Plan:
    """The one cutoff before official test rows where the data set has such, else rolling cutoffs from the end."""
    unknown_words = [word for word in config.metrics if word not in METRICS]
    if unknown_words:
        raise unknown("metric", unknown_words[0], METRICS)
    if protocol is not None and isinstance(protocol.split, LastRows):
        ends = np.stack([np.asarray(end) for end in protocol.cutoffs(panel, horizon)])
    else:
        number = usual_cutoffs(panel, horizon, config.step) if config.cutoffs is None else config.cutoffs
        ends = cutoffs(panel, horizon, number, config.step, short="skip")
    context = int(ends[0].max()) if config.window == "sliding" else None
    processes = config.processes or os.cpu_count() or 1
    return Plan(
        panel,
        ends,
        horizon,
        tuple(config.metrics),
        context,
        config.refit,
        config.time_cap,
        processes,
        config.seed,
        Bounds.of(config.data.options),
    )


def compare(
    plan: Plan, members: tuple[Member, ...], folder: Path, trainer: config.Trainer, failed: str | None = None
) -> Comparison:
    """Run every member over every cutoff and rank them."""
    torch.set_num_threads(1)

    def fit(member: Member, model: Forecaster, panel: Panel, ends: NDArray[np.int64]) -> Fitted:
        return trained(member, model, panel, ends, plan, folder.parent / "models", trainer)

    with Progress(
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("comparing", total=None)
        cells = backtest(
            plan,
            members,
            folder,
            fit,
            lambda done, total, what: bar.update(task, completed=done, total=total, description=what or "comparing"),
        )
    if failed is not None and failed not in cells:
        raise InputError(f"failed={failed} is not among the models; add it to models=[…], or pass failed=null")
    if failed is not None:
        cells = board_of.stand_in(cells, failed)
    board = board_of.leaderboard(plan, cells, plan.seed)
    return Comparison(plan, cells, board, *board_of.verdict(plan, board))


def trained(
    member: Member,
    model: Forecaster,
    panel: Panel,
    ends: NDArray[np.int64],
    plan: Plan,
    folder: Path,
    trainer: config.Trainer,
) -> Fitted:
    """Weights from the rows before the first cutoff, kept as a model file."""
    path = folder / f"{member.label}.safetensors"
    torch.manual_seed(plan.seed)
    model = member.build(horizon=plan.horizon, facts=facts_of(panel))
    with measured() as clock:
        clock.lap()
        done = train(
            model,
            panel.head(np.maximum(ends, 0)),
            np.maximum(ends, 0),
            plan.horizon,
            trainer,
            plan.seed,
            folder / member.label,
            resume=False,
        )
    artefact.save(path, model, facts={"label": member.label, "horizon": plan.horizon})
    cost = clock.cost(model, ())
    return Fitted(
        dict(zip(model.state_dict(), arrays(list(model.state_dict().values())), strict=True)),
        cost.predict_cpu_s,
        cost.peak_mb,
        done.note,
    )


def write(done: Comparison, name: str, out: Path, config: config.Compare) -> None:
    """Every table of the comparison, and its summary."""
    plan, cells, board = done.plan, done.cells, done.board
    ranks, told = pairs.ranks(plan, board)
    tables.save(
        out,
        {
            "leaderboard.csv": done.table,
            "by_lead.csv": board_of.leads(board),
            "calibration.csv": board_of.calibration(plan, cells),
            "cost.csv": tables.costs(cells),
            "failures.csv": tables.failures(plan, cells),
            "pairs.csv": pairs.table(plan, board),
            "ranks.csv": ranks,
            "forecasts.parquet": tables.forecasts(plan, cells),
            "history.parquet": tables.history(plan),
            "scores.parquet": board_of.scores(plan, board),
        },
    )
    write_durably(out / "summary.json", json.dumps(summary(done, name, config) | {"ranks": told}, indent=1).encode())


def summary(done: Comparison, name: str, config: config.Compare) -> dict[str, Any]:
    """What the report says in words."""
    plan, panel = done.plan, done.plan.panel
    return {
        "verdict": done.verdict,
        "details": done.details,
        "data": name,
        "series": len(panel),
        "channels": len(panel.channels),
        "cutoffs": len(plan.ends),
        "horizon": plan.horizon,
        "season": panel.season,
        "seasons": list(panel.seasons),
        "clock": panel.clock.describe(),
        "metric": plan.metrics[0],
        "models": list(done.board.order),
        "best": done.board.best,
        "cells": int((next(iter(done.board.tallies[plan.metrics[0]].values())).weight > 0).sum()),
        "cells_dropped": done.board.lost,
        "dropped_undefined": done.board.undefined,
        "failures": {model: sum(len(cell.failed) for cell in made) for model, made in done.cells.items()},
        "notes": notes(done.cells),
        "stand_in": config.failed,
        "seed": plan.seed,
        "version": version("forecast"),
        "command": shlex.join(["forecast", *sys.argv[1:]]),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def notes(cells: Cells) -> dict[str, str]:
    """What is to be said beside the figures of models."""
    return {model: note for model, made in cells.items() if (note := max(cell.note for cell in made))}


def record(done: Comparison, out: Path, recorder: Recorder, config: config.Compare) -> None:
    """Pooled figures and curves of every model as a nested run, tables and report as artefacts of the parent."""
    plan, board = done.plan, done.board
    recorder.parameters(
        {
            "data": config.data.name or config.data.path,
            "horizon": plan.horizon,
            "cutoffs": len(plan.ends),
            "season": plan.panel.season,
            "seed": plan.seed,
        }
    )
    costs = {row["model"]: row for row in tables.costs(done.cells).to_dict("records")}
    for member in config.models:
        with recorder.child(member.label) as child:
            child.parameters(member.plain())
            child.metrics({word: board.standings[word][member.label].value for word in board.metrics})
            child.metrics(
                {f"cost.{name}": float(value) for name, value in costs[member.label].items() if name != "model"}
            )
            leads = board_of.leads(replace(board, order=(member.label,)))
            child.curves({f"{word}_by_lead": list(leads.loc[leads.metric == word, "value"]) for word in board.metrics})
    for file in sorted(path for path in out.iterdir() if path.is_file()):
        recorder.artefact(file)


def show(done: Comparison) -> None:
    """The leaderboard on the terminal."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    view = Table(title=board_of.scope(done.plan))
    view.add_column("model", no_wrap=True)
    for word in done.board.metrics:
        view.add_column(word, justify="right", no_wrap=True)
    owa = board_of.owa_of(done.board)
    if owa:
        view.add_column("owa", justify="right", no_wrap=True)
    view.add_column("against\nseasonal_naive", no_wrap=True)
    failures = {model: sum(len(cell.failed) for cell in made) for model, made in done.cells.items()}
    said = notes(done.cells)
    for model in done.board.order:
        first = done.board.standings[done.board.metrics[0]][model].against_reference
        values = [f"{done.board.standings[word][model].value:.4g}" for word in done.board.metrics]
        values += [f"{owa[model]:.4g}"] if owa else []
        note = f" ({failures[model]} failed)" if failures[model] else ""
        note += f" ({said[model]})" if model in said else ""
        view.add_row(model + note, *values, "" if first is None else first.word)
    view.caption = not_kept(said) if said else None
    console.print(view)
