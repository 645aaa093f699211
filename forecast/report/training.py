"""The report of `forecast train`, drawn from losses.csv and summary.json: what was fitted, and how the loss fell.

A structural model also shows what it makes of the series: see `forecast.report.decomposition`.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import InputError
from forecast.report import decomposition, page
from forecast.report.figures import best_epoch, plot_losses
from forecast.report.numbers import Listing, listing, number, seconds
from forecast.report.section import Section, picture

LOSSES = "losses.csv"


def write(folder: Path) -> Path:
    """Draw report.html from the run folder of a training."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        losses = pd.read_csv(folder / LOSSES)
    except OSError as error:
        missing = Path(error.filename).name if error.filename else "a table"
        hint = "a report is drawn from the folder of a finished `forecast train`"
        raise InputError(f"{folder}: {missing} is not there; {hint}") from error
    return page.render(
        folder,
        title=f"forecast: {summary['model']} on {summary['data']}",
        overline=f"Training of {summary['model']} on {summary['data']}",
        verdict=sentence(summary, losses),
        details=(),
        facts=figures_of(summary),
        sections=[*curves(losses, not summary.get("note")), *decomposition.sections(folder), artefact(summary)],
        command=summary.get("command"),
        version=summary["version"],
        seed=summary.get("seed"),
        created=summary["created"],
    )


def sentence(summary: dict[str, Any], losses: pd.DataFrame) -> str:
    """What a reader sees first."""
    took = f"in {seconds(summary['cpu_s'])} CPU seconds"
    if not summary["weights"]:
        many = summary.get("series", 1)
        return f"{summary['model']}: parameters of {number(many)} series estimated {took}; it has no weights to train."
    if summary["best_validation_loss"] is None:
        return f"{summary['model']}: {number(summary['epochs'])} epochs {took}; too few rows to validate."
    loss = number(summary["best_validation_loss"])
    if summary.get("note"):
        why = f"they gain nothing on the validation rows (loss {loss} before training)"
        return f"{summary['model']}: {summary['note']}: {why}; {len(losses)} epochs {took}."
    return (
        f"{summary['model']}: best validation loss {loss}, after epoch {best_epoch(losses)} of {len(losses)}, {took}."
    )


def figures_of(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers under the first sentence: what there is."""
    keys = ("weights", "steps") if summary["weights"] else ("series", "channels", "rows")
    return [(key, number(summary[key])) for key in keys if key in summary and (key, summary[key]) != ("channels", 1)]


def curves(losses: pd.DataFrame, kept: bool) -> list[Section]:
    """The losses by epoch; nothing where nothing was trained."""
    if losses.empty:
        return []
    low = {name: losses[f"{name}_loss"].dropna() for name in ("training", "validation")}
    said = [f"{name} {number(v.iloc[0])} → {number(v.iloc[-1])}" for name, v in low.items() if len(v)]
    finding = f"Loss from the first epoch to the last: {'; '.join(said)}."
    drawn = picture(finding, lambda ax: plot_losses(ax, losses, kept))
    return [Section("Loss by epoch", finding, [drawn], [listing(losses, "The numbers", LOSSES)])]


def artefact(summary: dict[str, Any]) -> Section:
    """The file that the training left."""
    rows = [("file", "model.safetensors"), ("SHA-256", str(summary["sha256"]))]
    rows += [("epochs", number(summary["epochs"]))] * bool(summary["weights"])
    table = Listing("", ("", ""), rows, folded=False)
    return Section("The model", "Read by forecast predict and forecast.load.", [], [table])
