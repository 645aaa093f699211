"""Checkpoints of a training that may be killed at any moment: whole or absent, and read back only if they are ours and intact.

A Lightning checkpoint is a pickle container. It is written beside its SHA-256, read with `weights_only`, and by `train resume=` alone.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from forecast.durable import write_durably
from forecast.errors import InputError


class DurableCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoint files, written in one step with their digest."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = buffer.getvalue()
        write_durably(Path(path), content)
        write_durably(_seal(Path(path)), hashlib.sha256(content).hexdigest().encode())

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)
        _seal(Path(path)).unlink(missing_ok=True)


def read(path: Path, map_location: Any | None = None) -> dict[str, Any]:
    """The content of a checkpoint whose digest is right."""
    try:
        content, digest = path.read_bytes(), _seal(path).read_text().strip()
    except OSError as error:
        raise InputError(f"{path}: no checkpoint of ours ({error.strerror}); train again without resume") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(f"{path}: damaged (its digest does not match); train again without resume")
    checkpoint: dict[str, Any] = torch.load(io.BytesIO(content), map_location=map_location or "cpu", weights_only=True)
    return checkpoint


def newest(folder: Path) -> Path | None:
    """The last intact checkpoint of a stopped training: one killed between file and digest falls back to the one before."""
    files = sorted(folder.glob("epoch-*.ckpt"), key=lambda path: path.name, reverse=True)
    for path in files:
        try:
            read(path)
        except InputError:
            continue
        return path
    return None


def _seal(path: Path) -> Path:
    return path.with_suffix(".sha256")
