"""Long-horizon tables: every window of the test rows, errors in units of the training rows' spread.

    MSE = mean over windows, leads and channels of ((y - f)/s)²,  MAE = mean of |y - f|/s,  f the median

The scale s belongs to the protocol and is applied to the outcome, never to the model. No window is dropped. Forecasts are traced
along the test rows, so a model sees for every window the rows before it and nothing else. Parameters come from the training rows,
once for each horizon; weights are trained once for the longest one, the validation rows choosing when to stop. Where these do not keep
the trained weights, the model's row is that from before training (`kept` 0), and the weights as trained have a row beside it.
Every model is also set against ridge with the context that the validation windows choose (`ltsf_ridge`).
Source: thuml/Time-Series-Library, data_provider/data_loader.py; Zeng et al. (2023), Are Transformers effective for time series forecasting?
"""

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from forecast.errors import InputError
from forecast.experiment import config as configs
from forecast.experiment import data
from forecast.experiment.benchmark import Results, ltsf_ridge, options
from forecast.experiment.benchmark.ltsf_windows import Kept, Score, evaluate
from forecast.experiment.members import Member, facts_of, labelled, member
from forecast.experiment.tracking import recording
from forecast.experiment.training import train
from forecast.series import catalogue
from forecast.series.protocol import Dataset

KNOWN = ("naive", "seasonal_naive", {"name": "ridge", "context": 336}, {"name": "ridge", "context": 720})
DEEP = ("lti", "hybrid", "transformer", "lstm", "s4", "s4d", "s5", "mamba", "linear_attention", "performer")
TRAINED = ", as trained"
logger = logging.getLogger("forecast")


@dataclass(frozen=True)
class Choice:
    """The keys of conf/benchmark/ltsf.yaml."""

    sets: tuple[str, ...]
    horizons: tuple[int, ...]
    contexts: tuple[int, ...]
    full: bool


def run(config: configs.Benchmark, out: Path) -> int:
    """Fill the table cell by cell; cells that results.csv holds already are not made again."""
    torch.set_num_threads(1)
    chosen = options(Choice, config)
    members = config.models or labelled([member(model) for model in (*KNOWN, *(DEEP if chosen.full else ()))])
    made = Results(out, "ltsf")
    with recording(config.tracking, Path(config.out), "benchmark ltsf", {"verb": "benchmark"}) as recorder:
        for name in chosen.sets:
            dataset, kept = _dataset(name), Kept(out / "windows", name)
            for one in members:
                missing = [h for h in chosen.horizons if not made.has(f"{name}/{h}", one.label)]
                for horizon, label, score, more in _cells(one, dataset, missing, config, out / "models"):
                    if made.has(f"{name}/{horizon}", label):
                        continue
                    kept.keep(horizon, label, score.square)
                    made.add(f"{name}/{horizon}", label, **score.figures(), **more)
                    logger.info("%s %s %d: MSE %.4f MAE %.4f", name, label, horizon, score.mse, score.mae)
            if chosen.contexts:
                ltsf_ridge.beside(dataset, [one.label for one in members], chosen.horizons, chosen.contexts, made, kept)
        recorder.metrics(made.metrics())
        recorder.artefact(made.file)
    _show(made.frame)
    ltsf_ridge.show(made.frame)
    print(f"Table: {made.file}")
    return 0


def _dataset(name: str) -> Dataset:
    found = catalogue.load(name, data.folders(), raw=True)
    if len(found) != 1 or len(found[0].panel) != 1 or not found[0].protocol.standardise:
        raise InputError(f"benchmark.sets: {name} has no long-horizon protocol; choose sets like etth1 or weather")
    return found[0]


def _cells(
    one: Member, dataset: Dataset, horizons: list[int], config: configs.Benchmark, folder: Path
) -> Iterator[tuple[int, str, Score, dict[str, float]]]:
    """(horizon, label, score, other figures) of one model on one set, what was fitted for several horizons shared among them."""
    panel, protocol = dataset.panel, dataset.protocol
    train_rows = panel.head(dataset.borders.train)
    started = time.process_time()
    model, more = None, dict[str, float]()
    weights: dict[str, dict[str, torch.Tensor]] = {}
    for horizon in horizons:
        if model is None or "trained" not in model.traits:
            torch.manual_seed(config.seed)
            longest = max(horizons)
            model = one.build(horizon=horizon, facts=facts_of(panel))
            if "trained" in model.traits:
                model = one.build(horizon=longest, facts=facts_of(panel))
                ends = dataset.borders.validation.numpy()
                place = folder / f"{dataset.name}-{one.label}"
                resume = bool(config.resume) and place.exists()
                done = train(
                    model, panel.head(ends), ends, longest, config.trainer, config.seed, place, resume,
                    dataset.borders.train.numpy(),
                )  # fmt: skip
                own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                weights = {one.label + TRAINED: done.left_out} if done.left_out else {}
                weights |= {one.label: own}
                more = {"kept": not done.left_out, "steps": done.steps} if done.steps else {}
        for label, its in (weights or {one.label: {}}).items():
            if its:
                model.load_state_dict(its)
            with torch.no_grad():
                parameters = model.estimate(train_rows.past([int(dataset.borders.train[0])]))
            score = evaluate(model, parameters, panel, protocol, horizon)
            yield horizon, label, score, more | {"cpu_s": time.process_time() - started}
            started = time.process_time()


def _show(made: pd.DataFrame) -> None:
    """MSE by set and horizon, and their mean, one column for each model."""
    rows = made[made["unit"] == "mse"]
    wide = rows.pivot(index="case", columns="subject", values="value")
    wide = wide.reindex(index=rows["case"].unique(), columns=rows["subject"].unique())
    view = Table(title="MSE over every test window, in units of the training rows' spread")
    view.add_column("data")
    view.add_column("horizon", justify="right")
    for label in wide.columns:
        view.add_column(label, justify="right")
    for name, block in wide.groupby(wide.index.str.partition("/").get_level_values(0), sort=False):
        for case, row in block.iterrows():
            view.add_row(str(name), str(case).rpartition("/")[2], *(f"{value:.4f}" for value in row))
        view.add_row(str(name), "mean", *(f"{value:.4f}" for value in block.mean()), end_section=True)
    Console(width=None if os.isatty(1) else 120).print(view)
    lost = made[(made["unit"] == "kept") & (made["value"] == 0) & ~made["subject"].str.endswith(TRAINED)]
    for who, cases in lost.groupby("subject", sort=False)["case"]:
        names = ", ".join(dict.fromkeys(cases.str.partition("/")[0]))
        print(f"{who} on {names}: the trained weights gain nothing on the validation rows and are not kept; the row is that from before training.")
