"""Weights with the default trainer, for callers that only want a model that is ready: nothing of it is kept but the weights."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forecast.experiment import config
from forecast.experiment.checks import read_yaml
from forecast.experiment.members import CONF, Member, facts_of
from forecast.experiment.training import train
from forecast.models.ensemble import Ensemble
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel


def trainer() -> config.Trainer:
    """The default trainer, conf/trainer/cpu.yaml."""
    made: config.Trainer = config.complete(config.Trainer, read_yaml(CONF / "trainer" / "cpu.yaml"))
    return made


def label_of(members: Sequence[Member]) -> str:
    """`kalman`, or `kalman + ridge`."""
    return " + ".join(member.label for member in members)


def together(members: Sequence[Member], panel: Panel, ends: NDArray[np.int64], seed: int = 0) -> Forecaster:
    """One step ahead by one member, or by the mean of several."""
    models = [built(member, panel, 1, ends, seed) for member in members]
    return models[0] if len(models) == 1 else Ensemble.of(models)


def built(member: Member, panel: Panel, horizon: int, ends: NDArray[np.int64], seed: int = 0) -> Forecaster:
    """The forecaster of a member, its weights, where it has any, trained on the rows before `ends` (S) alone."""
    model = member.build(horizon=horizon, facts=facts_of(panel))
    if "trained" in model.traits:
        with tempfile.TemporaryDirectory() as folder:
            train(model, panel, ends, getattr(model, "horizon", horizon), trainer(), seed, Path(folder))
    return model
