"""Checkpoints of a training that may be killed at any moment: whole or absent, and read back only if they are ours and intact.

A Lightning checkpoint is a pickle container. It is written beside its SHA-256, read with `weights_only`, and by `train resume=` alone.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from forecast.errors import InputError


def read(path: Path, map_location: Any | None = None) -> dict[str, Any]:
    """The content of a checkpoint whose digest is right."""
    try:
        content, digest = path.read_bytes(), seal(path).read_text().strip()
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


def seal(path: Path) -> Path:
    """Where its digest stands."""
    return path.with_suffix(".sha256")
