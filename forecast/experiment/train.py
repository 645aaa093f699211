"""`forecast train`: fit one model to a data set and keep it as one file that `forecast predict` and `forecast.load` read."""

import json
import shlex
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from forecast import artefact
from forecast.durable import write_durably
from forecast.experiment import config, data, runs, tables
from forecast.experiment.data import Source
from forecast.experiment.explained import explained
from forecast.experiment.members import facts_of
from forecast.experiment.runs import MODEL
from forecast.experiment.tracking import recording
from forecast.experiment.training import Training, train
from forecast.models.forecaster import Forecaster
from forecast.report import training as report
from forecast.series.panel import Panel
from forecast.types import Parameters


def run(config: config.Train, out: Path) -> int:
    """The verb: read, fit, save, record."""
    torch.set_num_threads(1)
    source = data.load(config.data)
    panel = source.panel if config.season is None else replace(source.panel, seasons=(config.season,))
    horizon = horizon_of(config.horizon, source, panel)
    folder = out if config.resume is None else runs.find(config.resume, Path(config.out), ["train"], finished=False)
    with recording(config.tracking, Path(config.out), f"train {config.model.label}", {"verb": "train"}) as recorder:
        recorder.parameters(config.model.plain() | {"data": source.name, "horizon": horizon, "seed": config.seed})
        model, parameters, done = fit(config, panel, horizon, folder / "checkpoints")
        facts = facts_for(panel, horizon, config.model.label)
        digest = artefact.save(out / MODEL, model, parameters, facts=facts)
        recorder.curves(done.curves)
        recorder.metrics(
            {"steps": done.steps, "epochs": done.epochs, "fit_cpu_s": done.cpu_s, "best_validation_loss": done.best}
        )
        tables.save(
            out,
            {
                "losses.csv": pd.DataFrame(
                    {"epoch": np.arange(1, len(done.curves["training_loss"]) + 1), **_even(done.curves)}
                )
            },
        )
        tables.save(out, explained(model, parameters, panel))
        write_summary(out, model, digest, done, config, source)
        report.write(out)
        for name in (MODEL, "summary.json", "losses.csv", "config.yaml", "report.html"):
            if (out / name).exists():
                recorder.artefact(out / name)
    weights = sum(p.numel() for p in model.parameters())
    told = f"{done.steps} steps, best validation loss {done.best:.4g}" if weights else "parameters estimated"
    told += f", {done.note}: the model is what it was before training" if done.note else ""
    print(f"{config.model.label}: {told}, {done.cpu_s:.1f} CPU-s\nModel: {out / MODEL}")
    return 0


def fit(config: config.Train, panel: Panel, horizon: int, checkpoints: Path) -> tuple[Forecaster, Parameters, Training]:
    """Train the weights where there are any, else estimate the parameters of every series, on all rows."""
    torch.manual_seed(config.seed)
    model = config.model.build(horizon=horizon, facts=facts_of(panel))
    ends = panel.lengths.numpy()
    if "trained" in model.traits:
        done = train(model, panel, ends, horizon, config.trainer, config.seed, checkpoints, config.resume is not None)
        with torch.no_grad():
            return model, model.estimate(panel.past(ends.tolist())), done
    started = time.process_time()
    with torch.no_grad():
        parameters = model.estimate(panel.past(ends.tolist()))
    return model, parameters, Training(cpu_s=time.process_time() - started)


def horizon_of(stated: int | None, source: Source, panel: Panel) -> int:
    """The horizon as stated, else the data set's own, else one season."""
    own = (
        source.protocol.horizons[0]
        if source.protocol is not None and source.protocol.horizons
        else max(panel.season, 1)
    )
    return stated or own


def facts_for(panel: Panel, horizon: int, label: str) -> dict[str, Any]:
    """What a model file says about the data it was fitted to."""
    return {
        "label": label,
        "horizon": horizon,
        "series": list(panel.names),
        "channels": list(panel.channels),
        "seasons": list(panel.seasons),
        "inputs": list(panel.known.names),
        "clock": panel.clock.describe(),
    }


def write_summary(
    out: Path, model: Forecaster, digest: str, done: Training, config: config.Train, source: Source
) -> None:
    """summary.json of a training."""
    summary = {
        "model": config.model.label,
        "data": source.name,
        "series": len(source.panel),
        "channels": len(source.panel.channels),
        "rows": int(source.panel.lengths.sum()),
        "sha256": digest,
        "weights": sum(p.numel() for p in model.parameters()),
        "steps": done.steps,
        "epochs": done.epochs,
        "cpu_s": done.cpu_s,
        "best_validation_loss": None if done.best != done.best else done.best,
        "note": done.note,
        "seed": config.seed,
        "command": shlex.join(["forecast", *sys.argv[1:]]),
        "version": version("forecast"),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_durably(out / "summary.json", json.dumps(summary, indent=1).encode())


def _even(curves: dict[str, list[float]]) -> dict[str, list[float]]:
    """Curves of one length: a training without validation rows has no validation loss."""
    length = max(len(curve) for curve in curves.values())
    return {name: curve + [float("nan")] * (length - len(curve)) for name, curve in curves.items()}
