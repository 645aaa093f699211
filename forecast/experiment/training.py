"""Training of weights: the closed form first, then the Trainer, and of all that what has earned its place.

An epoch is at most EPOCH steps. Data order and dropout of an epoch follow from (seed, epoch) alone and checkpoints are written at epoch
ends, so a run that was killed and resumed ends with the same weights, bit for bit, as one that was not (one CPU thread).
The weights kept are those of the best validation error; a panel too short for validation rows keeps the last ones.
"""

import itertools
import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.experiment import checkpoints, config
from forecast.experiment.earned import earned, errors
from forecast.models import closed_form, stretch
from forecast.models.deep import DeepForecaster
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.types import Past

logger = logging.getLogger("forecast")
ROUND = 25  # steps between two validations at least
SHARE = 0.15  # of the rows before the first cutoff are for validation
LAID_OUT = 4_000_000  # rows of all channels laid out at once for what has a closed form
BURN_IN = 2048  # rows before a training window for what has a closed form
LEAST, MOST = 48, 1024  # rows of past in a training window that is not stated


@dataclass
class Training:
    """What a training did."""

    steps: int = 0
    epochs: int = 0
    cpu_s: float = 0.0
    best: float = float("nan")  # validation loss
    left_out: dict[str, Tensor] = field(default_factory=dict)  # the best trained weights, where these gained nothing
    at_start: float = float("nan")  # validation loss of what has a closed form, before the first step
    curves: dict[str, list[float]] = field(default_factory=lambda: {"training_loss": [], "validation_loss": []})

    @property
    def note(self) -> str:
        """What stands beside the model's figures where they are those from before the first step."""
        return "trained weights not kept" if self.left_out else ""


def train(
    model: Forecaster,
    panel: Panel,
    ends: NDArray[np.int64],
    horizon: int,
    settings: config.Trainer,
    seed: int,
    folder: Path,
    resume: bool = False,
    cut: NDArray[np.int64] | None = None,
) -> Training:
    """Fit the weights on the rows before `ends` (S) and leave the best ones in the model; checkpoints go to `folder`.

    Rows from `cut` (S) on are for validation; a share of the rows where it is not given. What has a closed form is fitted first,
    and stays as it is where no training has a smaller validation loss, or where that is no gain in the units of the series (`earned`).
    """
    from forecast.experiment import trainer as trainers
    from forecast.series.windows import Windows

    started = time.process_time()
    cut = validation_cut(ends, horizon) if cut is None else cut
    burn_in = 0
    if isinstance(model, DeepForecaster):
        closed_form.fit(model, Pasts(panel, ends, cut))
        model.burn_in = burn_in = min(BURN_IN, max(int(cut.max()) - horizon - 1, 0))
    context = settings.context or context_of(panel, cut, horizon)
    windows_in_a_step = max(settings.batch_size // len(panel.channels), 1)  # batch_size counts channels of windows
    windows = Windows(panel, cut, context, horizon, windows_in_a_step, seed, end=ends, burn_in=burn_in)
    validated = bool((ends > cut).any())
    done = Training()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with trainers.quiet():
        batches = min(len(windows.train_dataloader()), trainers.epoch(settings))
        apart = -(-ROUND // batches)
        if settings.max_steps > 0:
            apart = max(1, min(apart, settings.max_steps // batches))
        trainer = trainers.of(settings, seed, folder, validated, done.curves, apart)
        at_start = trainers.validated(settings, model, windows) if validated else math.inf
        if any(weight.requires_grad for weight in model.parameters()):
            newest = checkpoints.newest(folder) if resume else None
            trainer.fit(trainers.Task(model), datamodule=windows, ckpt_path=newest, weights_only=True)
    loss, trained = trainers.best(trainer, validated)
    kept = bool(trained) and loss < at_start
    if kept and isinstance(model, DeepForecaster):
        kept = _earned(model.eval(), start, trained, (panel, ends, cut, horizon))
    done.left_out = {} if kept else trained
    if kept:
        model.load_state_dict(trained)
        if isinstance(model, DeepForecaster):
            held = cast("Iterable[Past]", windows.val_dataloader())
            stretch.fit(model.eval(), itertools.islice(held, trainers.VALIDATION))
    elif validated:
        model.load_state_dict(start)
    model.eval()
    done.steps, done.epochs, done.cpu_s = trainer.global_step, trainer.current_epoch, time.process_time() - started
    done.best = min([at_start, *(loss for loss in done.curves["validation_loss"] if loss == loss and kept)])
    done.at_start = at_start
    if done.left_out:
        what = "in the units of the series" if loss < at_start else "in validation loss"
        logger.info("the trained weights gain nothing %s and are not kept", what)
    logger.info(
        "trained %d steps in %d epochs, %.1f CPU-s, best validation loss %.4g",
        done.steps,
        done.epochs,
        done.cpu_s,
        done.best,
    )
    return done


def _earned(model: DeepForecaster, start: dict[str, Tensor], trained: dict[str, Tensor], rows: Any) -> bool:
    """Whether the trained weights have smaller errors than those at the start on the validation rows."""
    found = []
    for weights in (trained, start):
        model.load_state_dict(weights)
        found.append(errors(model, *rows))
    return earned(*found)


@dataclass(frozen=True)
class Pasts:
    """All rows before `ends`, some series at a time, with how many of the last ones of each are for validation."""

    panel: Panel
    ends: NDArray[np.int64]
    cut: NDArray[np.int64]

    def __iter__(self) -> Iterator[tuple[Past, Tensor]]:
        order = np.argsort(self.ends, kind="stable")
        room = max(1, int(LAID_OUT // (max(int(self.ends.max()), 1) * len(self.panel.channels))))
        for low in range(0, len(order), room):
            some = order[low : low + room]
            past = self.panel.past(self.ends[some].tolist(), some.tolist())
            yield past, torch.from_numpy(self.ends[some] - self.cut[some])


def validation_cut(ends: NDArray[np.int64], horizon: int) -> NDArray[np.int64]:
    """The row of each series where training ends: at least a horizon for validation, where that leaves two for training."""
    apart = np.maximum((ends * SHARE).astype(np.int64), horizon)
    return np.where(ends - apart >= 2 * horizon, ends - apart, ends)


def context_of(panel: Panel, cut: NDArray[np.int64], horizon: int) -> int:
    """Rows of past in a training window: a few horizons and seasons, no more than there are."""
    wanted = max(4 * horizon, 3 * max(panel.seasons, default=1), LEAST)
    return int(max(min(wanted, MOST, int(cut.max()) - horizon), 1))
