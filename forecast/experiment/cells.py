"""One finished piece of a comparison on disk: the forecasts of one model at one cutoff for some series, scored.

Shapes: S series of the piece, H leads, C channels, Q levels. A failed series has missing forecasts and a reason. The
file is safetensors with one JSON entry, written in one step, so that a killed comparison finds every finished piece
again.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from forecast.distribution import LEVELS, Forecast
from forecast.durable import write_durably
from forecast.metrics import METRICS
from forecast.metrics.outcome import Outcome, Tally


class Cost(NamedTuple):
    """What a piece cost."""

    fit_cpu_s: float = 0.0
    predict_cpu_s: float = 0.0
    peak_mb: float = 0.0
    parameters: int = 0


class Cell(NamedTuple):
    """Forecasts and scores of S series at one cutoff."""

    actual: Tensor  # (S H C)
    mean: Tensor  # (S H C)
    quantiles: Tensor  # (S H C Q), levels LEVELS
    tallies: dict[str, Tally]  # metric → (S H C)
    failed: dict[int, str]  # position in the piece → reason
    cost: Cost
    note: str = ""  # what is to be said beside the model's figures


def score(forecast: Forecast, actual: Tensor, naive: tuple[Tensor, Tensor], metrics: Sequence[str]) -> Cell:
    """Ask a forecast everything that the tables need and put it beside what happened."""
    outcome = Outcome(forecast, actual, *naive)
    tallies = {word: METRICS[word].tally(outcome) for word in metrics}
    return Cell(actual, forecast.mean, forecast.quantiles(LEVELS), tallies, {}, Cost())


def empty(actual: Tensor, metrics: Sequence[str], failed: dict[int, str]) -> Cell:
    """The cell of series that have no forecast at all."""
    gone = torch.full_like(actual, torch.nan)
    nothing = Tally(torch.zeros_like(actual), torch.zeros_like(actual))
    return Cell(
        actual,
        gone,
        gone[..., None].expand(*gone.shape, len(LEVELS)).clone(),
        dict.fromkeys(metrics, nothing),
        failed,
        Cost(),
    )


def merge(cells: Sequence[Cell]) -> Cell:
    """Cells of different series as one."""
    failed: dict[int, str] = {}
    offset = 0
    for cell in cells:
        failed |= {offset + position: reason for position, reason in cell.failed.items()}
        offset += len(cell.actual)
    costs = [cell.cost for cell in cells]
    total = Cost(
        sum(c.fit_cpu_s for c in costs),
        sum(c.predict_cpu_s for c in costs),
        max(c.peak_mb for c in costs),
        max(c.parameters for c in costs),
    )
    tallies = {
        word: Tally(
            torch.cat([c.tallies[word].total for c in cells]), torch.cat([c.tallies[word].weight for c in cells])
        )
        for word in cells[0].tallies
    }
    parts = [torch.cat([getattr(cell, name) for cell in cells]) for name in ("actual", "mean", "quantiles")]
    return Cell(parts[0], parts[1], parts[2], tallies, failed, total, max(cell.note for cell in cells))


def write(path: Path, cell: Cell, fingerprint: str) -> None:
    """Write a finished piece."""
    tensors = {"actual": cell.actual, "mean": cell.mean, "quantiles": cell.quantiles}
    for word, tally in cell.tallies.items():
        tensors |= {f"total.{word}": tally.total, f"weight.{word}": tally.weight}
    about = {
        "fingerprint": fingerprint,
        "failed": {str(k): v for k, v in cell.failed.items()},
        "cost": cell.cost._asdict(),
        "note": cell.note,
    }
    plain = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    write_durably(path, write_tensors(plain, metadata={"cell": json.dumps(about)}))


def read(path: Path, fingerprint: str) -> Cell | None:
    """A finished piece, or None where there is none of this fingerprint (or only a damaged one: it is made again)."""
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        about: Mapping[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["cell"])
        tensors = read_tensors(content)
        if about["fingerprint"] != fingerprint:
            return None
        words = [name.removeprefix("total.") for name in tensors if name.startswith("total.")]
        tallies = {word: Tally(tensors[f"total.{word}"], tensors[f"weight.{word}"]) for word in words}
        failed = {int(k): str(v) for k, v in about["failed"].items()}
        parts = tensors["actual"], tensors["mean"], tensors["quantiles"]
        return Cell(*parts, tallies, failed, Cost(**about["cost"]), str(about["note"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
