"""Lightning's Trainer under our rules: what it trains, what it runs beside the loop, and the checkpoints that it writes.

Imported where weights are trained, and nowhere else: Lightning takes seconds to import.
"""

import contextlib
import hashlib
import io
import logging
import math
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.plugins.precision import Precision
from torch import Tensor

from forecast.durable import write_durably
from forecast.experiment import checkpoints, config
from forecast.layers.linear import short_products
from forecast.models.forecaster import Forecaster
from forecast.models.recipe import Trainable
from forecast.series.windows import Windows
from forecast.types import Past

EPOCH = 100  # steps of an epoch at most
VALIDATION = 40  # batches at most
SHORT = "bf16-mixed"  # the word for products of bfloat16


class Task(pl.LightningModule):
    """The training of a forecaster's weights, by its own losses and its own recipe."""

    def __init__(self, model: Forecaster) -> None:
        super().__init__()
        self.model = model

    @property
    def trained(self) -> Trainable:
        """The forecaster, as what is trained."""
        return cast("Trainable", self.model)

    def training_step(self, batch: Past, index: int) -> Tensor:
        loss = self.trained.training_loss(batch, self.global_step)
        self.log("training_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.values))
        return loss

    def validation_step(self, batch: Past, index: int) -> Tensor:
        loss = self.trained.validation_loss(batch)
        self.log("validation_loss", loss, batch_size=len(batch.values))
        return loss

    def configure_optimizers(self) -> Any:
        return self.trained.recipe.optimizers(self.named_parameters(), self.trainer.estimated_stepping_batches)

    def configure_callbacks(self) -> Any:
        recipe = self.trained.recipe
        return [WeightAveraging(use_buffers=False, avg_fn=recipe.average)] if recipe.ema else []


def epoch(settings: config.Trainer) -> int:
    """Steps of an epoch at most: a training that is shorter has its validation too."""
    return min(EPOCH, settings.max_steps) if settings.max_steps > 0 else EPOCH


def of(
    settings: config.Trainer, seed: int, folder: Path, checked: bool, curves: dict[str, list[float]], apart: int
) -> pl.Trainer:
    """The Trainer, which writes losses by epoch into `curves`; `apart` epochs lie between two validations, and between two checkpoints."""
    every = ModelCheckpoint(
        folder,
        "epoch-{epoch:06d}",
        save_top_k=-1,
        every_n_epochs=apart,
        save_on_train_epoch_end=True,
        auto_insert_metric_name=False,
    )
    callbacks: list[Callback] = [_Seeds(seed), _Curves(curves), every, _Tidy(folder)]
    if checked:
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
    if checked and settings.early_stopping:
        callbacks.append(EarlyStopping("validation_loss", patience=settings.patience, strict=False))
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        max_steps=settings.max_steps,
        limit_train_batches=epoch(settings),
        limit_val_batches=VALIDATION if checked else 0,
        check_val_every_n_epoch=apart,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        **_precision(settings, DurableCheckpoints()),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        deterministic=settings.accelerator == "cpu",
        use_distributed_sampler=False,
    )


def validated(settings: config.Trainer, model: Forecaster, windows: Windows) -> float:
    """Validation loss before the first step."""
    trainer = pl.Trainer(
        accelerator=settings.accelerator, devices=1, limit_val_batches=VALIDATION, **_precision(settings),
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    found = trainer.validate(Task(model), datamodule=windows, verbose=False)
    return float(found[0]["validation_loss"])


def best(trainer: pl.Trainer, validated: bool) -> tuple[float, dict[str, Tensor]]:
    """The least validation loss and its weights; none without validation."""
    kept = next((c for c in trainer.callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)  # type: ignore[attr-defined]
    if not validated or kept is None or kept.best_model_score is None:
        return math.inf, {}
    weights = checkpoints.read(Path(kept.best_model_path))["state_dict"]
    return float(kept.best_model_score), {name.removeprefix("model."): tensor for name, tensor in weights.items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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

    def __init__(self, curves: dict[str, list[float]]) -> None:
        self.curves = curves

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        fresh = (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch == 0  # type: ignore[operator]
        for name, curve in self.curves.items():
            if name in trainer.callback_metrics:
                made = fresh or name == "training_loss"
                curve.append(float(trainer.callback_metrics[name]) if made else float("nan"))

    def state_dict(self) -> dict[str, Any]:
        return {name: list(curve) for name, curve in self.curves.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curves.update({name: list(curve) for name, curve in state_dict.items()})


class _Tidy(Callback):
    """Keeps the last two epochs' checkpoints: the newest may be half sealed when the machine dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for path in sorted(self.folder.glob("epoch-*.ckpt"))[:-2]:
            trainer.strategy.remove_checkpoint(path)


class DurableCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoint files, written in one step with their digest."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = buffer.getvalue()
        write_durably(Path(path), content)
        write_durably(checkpoints.seal(Path(path)), hashlib.sha256(content).hexdigest().encode())

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoints.read(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)
        checkpoints.seal(Path(path)).unlink(missing_ok=True)
