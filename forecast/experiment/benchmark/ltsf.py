"""Long-horizon tables: every window of the test rows, errors in units of the training rows' spread.

    MSE = mean over windows, leads and channels of ((y - f)/s)²,  MAE = mean of |y - f|/s,  f the median

The scale s belongs to the protocol and is applied to the outcome, never to the model. No window is dropped. Forecasts are traced
along the test rows, so a model sees for every window the rows before it and nothing else. Parameters come from the training rows,
once for each horizon; weights are trained once for the longest one, the validation rows choosing when to stop. Where these do not keep
the trained weights, the model's row is that from before training (`kept` 0), and the weights as trained have a row beside it.
Before training the deep members are one closed form, which is scored once for each set.
Every model is also set against ridge with the context that the validation windows choose (`ltsf_ridge`).
Source: thuml/Time-Series-Library, data_provider/data_loader.py; Zeng et al. (2023), Are Transformers effective for time series forecasting?
"""

import hashlib
import logging
import math
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
from forecast.experiment.benchmark.ltsf_ridge import AGAINST
from forecast.experiment.benchmark.ltsf_windows import Kept, Score, evaluate, evaluate_all
from forecast.experiment.members import Member, facts_of, labelled, member
from forecast.experiment.tracking import recording
from forecast.experiment.training import Training, train
from forecast.models.deep import DeepForecaster
from forecast.models.forecaster import Forecaster
from forecast.series import catalogue
from forecast.series.protocol import Dataset

KNOWN = ("naive", "seasonal_naive", {"name": "ridge", "context": 336}, {"name": "ridge", "context": 720})
DEEP = ("lti", "hybrid", "transformer", "lstm", "s4", "s4d", "s5", "mamba", "linear_attention", "performer")
TRAINED = ", as trained"
Closed = dict[tuple[bytes | int | None, ...], dict[int, Score]]  # by what a closed form follows from, and the horizons
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
            dataset, kept, closed = _dataset(name), Kept(out / "windows", name), Closed()
            for one in members:
                missing = [h for h in chosen.horizons if not made.has(f"{name}/{h}", one.label)]
                for horizon, label, score, more in _cells(one, dataset, missing, config, out / "models", closed):
                    if made.has(f"{name}/{horizon}", label):
                        continue
                    kept.keep(horizon, label, score.square)
                    made.add(f"{name}/{horizon}", label, **score.figures(), **more)
                    logger.info("%s %s %d: MSE %.4f MAE %.4f", name, label, horizon, score.mse, score.mae)
            if chosen.contexts:
                labels = [label for one in members for label in (one.label, one.label + TRAINED)]
                ltsf_ridge.beside(dataset, labels, chosen.horizons, chosen.contexts, made, kept)
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
    one: Member, dataset: Dataset, horizons: list[int], config: configs.Benchmark, folder: Path, closed: Closed
) -> Iterator[tuple[int, str, Score, dict[str, float]]]:
    """(horizon, label, score, other figures) of one model on one set, what was fitted for several horizons shared among them."""
    panel, protocol = dataset.panel, dataset.protocol
    before = panel.head(dataset.borders.train).past([int(dataset.borders.train[0])])
    for horizon in horizons:
        started = time.process_time()
        torch.manual_seed(config.seed)
        model = one.build(horizon=horizon, facts=facts_of(panel))
        if "trained" in model.traits:
            break
        with torch.no_grad():
            parameters = model.estimate(before)
        score = evaluate(model, parameters, panel, protocol, horizon)
        yield horizon, one.label, score, {"cpu_s": time.process_time() - started}
    else:
        return
    model, ends = one.build(horizon=max(horizons), facts=facts_of(panel)), dataset.borders.validation.numpy()
    place = folder / f"{dataset.name}-{one.label}"
    resume = bool(config.resume) and place.exists()
    done = train(
        model, panel.head(ends), ends, max(horizons), config.trainer, config.seed, place, resume,
        dataset.borders.train.numpy(),
    )  # fmt: skip
    more = {"kept": not done.left_out, "steps": done.steps, **_losses(done)} if done.steps else {}
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for label, weights in ((one.label + TRAINED, done.left_out), (one.label, own)):
        if not weights:
            continue
        key = _closed_form(model) if weights is own and (done.left_out or not done.steps) else None
        scores = closed.get((key, *horizons))
        if scores is None:
            model.load_state_dict(weights)
            with torch.no_grad():
                parameters = model.estimate(before)
            scores = evaluate_all(model, parameters, panel, protocol, horizons)
        if key:
            closed[key, *horizons] = scores
        spent = {"cpu_s": time.process_time() - started, "training_cpu_s": done.cpu_s}
        yield from ((horizon, label, scores[horizon], more | spent) for horizon in horizons)
        started = time.process_time()


def _losses(done: Training) -> dict[str, float]:
    """Losses on validation rows: of what has a closed form, and the least one after a step."""
    after = [loss for loss in done.curves["validation_loss"] if loss == loss]
    return {"loss_before": done.at_start, "loss_trained": min(after, default=math.nan)}


def _closed_form(model: Forecaster) -> bytes | None:
    """What the medians of a deep member whose deep part says nothing follow from: where two have the same, so are their forecasts.

    None for models whose forecasts follow from more.
    """
    if not isinstance(model, DeepForecaster) or type(model).ahead is not DeepForecaster.ahead:
        return None
    found = hashlib.sha256(repr(model.scale).encode())
    for part in (model.encoder.bank, model.head):
        for name, tensor in part.named_buffers():
            found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.digest()


def _show(made: pd.DataFrame) -> None:
    """MSE by horizon, and their mean, one row for each set, model and kind of weights; the least of a set stands out."""
    rows = made[made["unit"].isin(["mse", "kept", "loss_before", "loss_trained"]) & ~made["subject"].str.endswith(AGAINST)].copy()
    rows["set"], rows["horizon"] = rows["case"].str.partition("/")[0], rows["case"].str.partition("/")[2].astype(int)
    mse = rows[rows["unit"] == "mse"].pivot(index=["set", "subject"], columns="horizon", values="value")
    mse = mse.reindex(rows.set_index(["set", "subject"]).index.unique())
    more = rows[rows["unit"] != "mse"].groupby(["set", "subject", "unit"])["value"].first()
    mse["mean"] = mse.mean(axis=1, skipna=False)
    view = Table(title="MSE over every test window, in units of the training rows' spread")
    for word in ("data", "model", "weights"):
        view.add_column(word)
    for word in (*mse.columns, "validation loss"):
        view.add_column(str(word), justify="right")
    for name, block in mse.groupby(level="set", sort=False):
        least = block.min()
        for subject, row in block.droplevel("set").iterrows():
            kept, *losses = (more.get((name, subject, unit)) for unit in ("kept", "loss_before", "loss_trained"))
            label, as_trained, _ = str(subject).partition(TRAINED)
            weights = "as trained" if as_trained else {None: "", 0: "before training", 1: "trained"}[kept]
            cells = [_figure(value, value == best) for value, best in zip(row, least, strict=True)]
            shown = weights in ("trained", "as trained")
            loss = " → ".join(f"{loss:.4g}" for loss in losses if shown and loss is not None)
            view.add_row(str(name), label, weights, *cells, loss)
        view.add_section()
    Console(width=None if os.isatty(1) else 120).print(view)
    lost = made[(made["unit"] == "kept") & (made["value"] == 0) & ~made["subject"].str.endswith(TRAINED)]
    for data_set, who in lost.groupby(lost["case"].str.split("/").str[0], sort=False)["subject"]:
        print(
            f"{data_set}: the trained weights of {', '.join(dict.fromkeys(who))} gain nothing on the validation rows and are not kept; "
            "the row is that from before training, of a deep member its closed form."
        )


def _figure(value: float, least: bool) -> str:
    """A cell, empty where there is none."""
    return "" if math.isnan(value) else f"[bold]{value:.4f}[/bold]" if least else f"{value:.4f}"
