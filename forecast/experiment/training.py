"""Training of weights: Lightning's Trainer under our rules.

An epoch is at most EPOCH steps. Data order and dropout of an epoch follow from (seed, epoch) alone and checkpoints are written at epoch
ends, so a run that was killed and resumed ends with the same weights, bit for bit, as one that was not (one CPU thread).
The weights kept are those of the best validation error; a panel too short for validation rows keeps the last ones.
"""

import contextlib
import itertools
import logging
import math
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.precision import Precision
from numpy.typing import NDArray
from torch import Tensor

from forecast.experiment import checkpoints, config
from forecast.experiment.earned import earned, errors
from forecast.layers.linear import short_products
from forecast.models import closed_form, stretch
from forecast.models.deep import DeepForecaster
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.series.windows import Windows
from forecast.types import Past

logger = logging.getLogger("forecast")
EPOCH, ROUND = 100, 25  # steps of an epoch at most; steps between two validations at least
VALIDATION = 40  # batches at most
SHARE = 0.15  # of the rows before the first cutoff are for validation
LAID_OUT = 4_000_000  # rows of all channels laid out at once for what has a closed form
BURN_IN = 2048  # rows before a training window for what has a closed form
SHORT = "bf16-mixed"  # the word for products of bfloat16
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
    with _quiet():
        batches = min(len(windows.train_dataloader()), _epoch(settings))
        apart = -(-ROUND // batches)
        if settings.max_steps > 0:
            apart = max(1, min(apart, settings.max_steps // batches))
        trainer = _trainer(settings, seed, folder, validated, done, apart)
        at_start = _validate(settings, model, windows) if validated else math.inf
        if any(weight.requires_grad for weight in model.parameters()):
            newest = checkpoints.newest(folder) if resume else None
            trainer.fit(model, datamodule=windows, ckpt_path=newest, weights_only=True)
    loss, trained = _trained(trainer, validated)
    kept = bool(trained) and loss < at_start
    if kept and isinstance(model, DeepForecaster):
        kept = _earned(model.eval(), start, trained, (panel, ends, cut, horizon))
    done.left_out = {} if kept else trained
    if kept:
        model.load_state_dict(trained)
        if isinstance(model, DeepForecaster):
            held = cast("Iterable[Past]", windows.val_dataloader())
            stretch.fit(model.eval(), itertools.islice(held, VALIDATION))
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


def _trained(trainer: pl.Trainer, validated: bool) -> tuple[float, dict[str, Tensor]]:
    """The least validation loss and its weights; none without validation."""
    best = next((c for c in trainer.callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)  # type: ignore[attr-defined]
    if not validated or best is None or best.best_model_score is None:
        return math.inf, {}
    return float(best.best_model_score), checkpoints.read(Path(best.best_model_path))["state_dict"]


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


def _validate(settings: config.Trainer, model: Forecaster, windows: Windows) -> float:
    """Validation loss before the first step."""
    trainer = pl.Trainer(
        accelerator=settings.accelerator, devices=1, limit_val_batches=VALIDATION, **_precision(settings),
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    found = trainer.validate(model, datamodule=windows, verbose=False)
    return float(found[0]["validation_loss"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice and its deprecation notices are not for our users; its errors are."""
    talkers = [
        logging.getLogger(name)
        for name in ("lightning", "lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric")
    ]
    levels = [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        yield
    for talker, level in zip(talkers, levels, strict=True):
        talker.setLevel(level)


def validation_cut(ends: NDArray[np.int64], horizon: int) -> NDArray[np.int64]:
    """The row of each series where training ends: at least a horizon for validation, where that leaves two for training."""
    apart = np.maximum((ends * SHARE).astype(np.int64), horizon)
    return np.where(ends - apart >= 2 * horizon, ends - apart, ends)


def context_of(panel: Panel, cut: NDArray[np.int64], horizon: int) -> int:
    """Rows of past in a training window: a few horizons and seasons, no more than there are."""
    wanted = max(4 * horizon, 3 * max(panel.seasons, default=1), LEAST)
    return int(max(min(wanted, MOST, int(cut.max()) - horizon), 1))


def _epoch(settings: config.Trainer) -> int:
    """Steps of an epoch at most: a training that is shorter has its validation too."""
    return min(EPOCH, settings.max_steps) if settings.max_steps > 0 else EPOCH


def _trainer(
    settings: config.Trainer, seed: int, folder: Path, validated: bool, done: Training, apart: int
) -> pl.Trainer:
    """The Trainer; `apart` epochs lie between two validations, and between two checkpoints."""
    every = ModelCheckpoint(
        folder,
        "epoch-{epoch:06d}",
        save_top_k=-1,
        every_n_epochs=apart,
        save_on_train_epoch_end=True,
        auto_insert_metric_name=False,
    )
    callbacks: list[Callback] = [_Seeds(seed), _Curves(done), every, _Tidy(folder)]
    if validated:
        callbacks.append(
            ModelCheckpoint(
                folder,
                "best-{epoch:06d}",
                monitor="validation_loss",
                save_top_k=1,
                save_on_train_epoch_end=False,
                auto_insert_metric_name=False,
            )
        )
    if validated and settings.early_stopping:
        callbacks.append(EarlyStopping("validation_loss", patience=settings.patience, strict=False))
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        max_steps=settings.max_steps,
        limit_train_batches=_epoch(settings),
        limit_val_batches=VALIDATION if validated else 0,
        check_val_every_n_epoch=apart,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        **_precision(settings, checkpoints.DurableCheckpoints()),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        deterministic=settings.accelerator == "cpu",
        use_distributed_sampler=False,
    )


class _ShortProducts(Precision):
    """Training with products of bfloat16 and all else as it is: on the processor Lightning's own form would take the layers from their kernels."""

    @contextlib.contextmanager
    def train_step_context(self) -> Generator[None, None, None]:
        with short_products():
            yield


def _precision(settings: config.Trainer, *plugins: Any) -> dict[str, Any]:
    """How the Trainer rounds, and its other plugins."""
    if settings.accelerator == "cpu" and settings.precision == SHORT:
        return {"plugins": [*plugins, _ShortProducts()]}
    return {"plugins": list(plugins), "precision": settings.precision}


class _Seeds(Callback):
    """Dropout of an epoch follows from (seed, epoch, rank), whether the run was resumed or not."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed((self.seed * 1_000_003 + trainer.current_epoch) * 1_009 + trainer.global_rank)


class _Curves(Callback):
    """Losses by epoch, NaN where none was taken, kept in the checkpoint too."""

    def __init__(self, done: Training) -> None:
        self.done = done

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        fresh = (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch == 0  # type: ignore[operator]
        for name, curve in self.done.curves.items():
            if name in trainer.callback_metrics:
                made = fresh or name == "training_loss"
                curve.append(float(trainer.callback_metrics[name]) if made else float("nan"))

    def state_dict(self) -> dict[str, Any]:
        return {name: list(curve) for name, curve in self.done.curves.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.done.curves = {name: list(curve) for name, curve in state_dict.items()}


class _Tidy(Callback):
    """Keeps the last two epochs' checkpoints: the newest may be half sealed when the machine dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for path in sorted(self.folder.glob("epoch-*.ckpt"))[:-2]:
            trainer.strategy.remove_checkpoint(path)
