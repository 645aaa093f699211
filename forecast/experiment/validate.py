"""forecast validate: what was understood of a data set, printed, as tables, and as a report with a first look at it."""

import json
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from forecast.experiment import data
from forecast.experiment.config import Validate
from forecast.experiment.data import Source
from forecast.experiment.members import words
from forecast.report import dataset
from forecast.report.dataset import Look, Part
from forecast.series.validate import Facts, facts, series_table

INTERMITTENT = ("tsb", "croston")  # models made for demand that comes now and then


def run(config: Validate, out: Path) -> int:
    """Print the facts of every panel; write them as facts.json, the series as a table, both as a report."""
    parts, known = [], []
    for source in data.sources(config.data):
        found = understood(source, config.data.options["season"] is not None)
        known.append(found)
        lines = [*found.lines(), *advice(found, config.data.options["minimum"] is not None)]
        print("\n".join([source.name, *(f"  {line}" for line in lines), ""]))
        total = len(source.panel) * int(source.panel.target.sum())
        parts.append(Part(source.name, lines, list(looks(source)), total, series_table(source.panel)))
    (out / "facts.json").write_text(json.dumps([asdict(found) for found in known], indent=1), encoding="utf-8")
    table = pd.concat([part.table for part in parts], ignore_index=True)
    table.to_csv(out / "series.csv", index=False)
    table.astype({"start": str, "end": str}).to_parquet(out / "series.parquet", index=False)
    command = shlex.join(["forecast", *sys.argv[1:]])
    when = time.strftime("%Y-%m-%d %H:%M")
    page = dataset.write(
        out, parts[0].title, verdict(known), parts, command=command, version=version("forecast"), created=when
    )
    print(f"Report: {page}")
    return 0


def understood(source: Source, stated: bool) -> Facts:
    """The facts of a source; a protocol states its seasons."""
    return replace(facts(source.panel, source.intake, stated or source.protocol is not None), source=source.name)


def advice(found: Facts, bounded: bool) -> Iterator[str]:
    """Which models and options suit what was noticed."""
    made_for = [word for word in INTERMITTENT if word in words()]
    if found.intermittent and made_for:
        yield f"{'':13}for demand that comes now and then: models=[seasonal_naive,{','.join(made_for)}]"
    if len(found.floored) == len(found.target) and not bounded:
        yield f"{'':13}never below 0: data.minimum=0 holds forecasts to that"


def verdict(known: list[Facts]) -> str:
    """One sentence on the whole."""
    series = sum(len(found.names) for found in known)
    missing = sum(found.missing * found.rows for found in known) / max(sum(found.rows for found in known), 1)
    clock = known[0].clock if len(known) == 1 else f"{len(known)} clocks"
    repairs = sum(len(found.repairs) for found in known)
    tail = f"; {repairs} repairs" if repairs else ""
    return f"{series} series; clock: {clock}; {100 * missing:.3g} % missing{tail}"


def looks(source: Source) -> Iterator[Look]:
    """The first series, their first target channels."""
    panel = source.panel
    channels = panel.target.nonzero().flatten().tolist()
    several = len(channels) > 1
    pairs = [(s, c) for s in range(len(panel)) for c in channels][: dataset.SHOWN]
    for series, channel in pairs:
        name = panel.names[series] + (f" / {panel.channels[channel]}" if several else "")
        yield Look(name, panel.times(series), panel.series(series)[:, channel].numpy())
