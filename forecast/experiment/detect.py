"""`forecast detect`: scores and events with a stated false-alarm rate, measured beside it; exit code 3 where there are events."""

import json
import shlex
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forecast import artefact
from forecast.durable import write_durably
from forecast.experiment import config, data, tables
from forecast.experiment.detection import Found, calm_rows, detect, rate_of, ready, rows_per_day
from forecast.experiment.detectors import build
from forecast.experiment.members import facts_of
from forecast.experiment.tracking import recording
from forecast.report import detection as report
from forecast.series.panel import Panel

MONITOR = "monitor.bin"
SHOWN = 12


def run(config: config.Detect, out: Path) -> int:
    """The verb: read, learn what is normal, score what comes after it, write, draw."""
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    source = data.load(config.data)
    panel = source.panel if config.season is None else replace(source.panel, seasons=(config.season,))
    rate = rate_of(panel, config.false_alarms_per_day, config.false_alarm_rate)
    started = time.process_time()
    calm = calm_rows(panel, config.calm)
    model = config.model.build(horizon=1, facts=facts_of(panel))
    with recording(config.tracking, Path(config.out), f"detect {source.name}", {"verb": "detect"}) as recorder:
        monitor = ready(model, build(config.detector, rate), panel, calm)
        artefact.save_monitor(out / MONITOR, monitor)
        found = detect(monitor, panel, calm, config.gap)
        summary = write(found, panel, calm, source.name, config, out, time.process_time() - started)
        report.write(out)
        recorder.parameters({"data": source.name, "model": config.model.label, "rate": rate})
        recorder.metrics({key: value for key, value in summary.items() if isinstance(value, float)})
        for name in ("summary.json", "events.csv", "report.html"):
            recorder.artefact(out / name)
    print(f"{summary['verdict']}\n{summary['details'][0]}")
    if len(found.events):
        print(found.events.head(SHOWN).to_string(index=False))
    print(f"Report: {out / 'report.html'}")
    return 3 if len(found.events) else 0


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def write(
    found: Found,
    panel: Panel,
    calm: NDArray[np.int64],
    name: str,
    config: config.Detect,
    out: Path,
    cpu_s: float,
) -> dict[str, Any]:
    """The tables and summary.json."""
    tables.save(
        out,
        {
            "scores.parquet": found.scores,
            "scores.csv": found.scores,
            "events.csv": found.events,
            "events.parquet": found.events.assign(start=found.events["start"], end=found.events["end"]),
        },
    )
    daily = rows_per_day(panel)
    several = f" of {len(panel)} series" if len(panel) > 1 else ""
    what = f"{len(found.events)} event{'s' * (len(found.events) != 1)}" if len(found.events) else "No event"
    budget = f"{found.rate:.2g} per row" + (f" ({found.rate * daily:.2g} a day and series)" if daily == daily else "")
    summary: dict[str, Any] = {
        "data": name,
        "model": config.model.label,
        "detector": config.detector["name"],
        "verdict": f"{what} in {found.rows:,} rows{several} of {name}",
        "details": [
            f"False-alarm rate asked for: {budget}; rows with an alarm: {found.measured:.2g}. "
            f"Learned from the first {_span(int(calm.min()), int(calm.max()))} rows of each series."
        ],
        "rate": found.rate,
        "measured": found.measured,
        "rows": found.rows,
        "alarmed": found.alarmed,
        "days": None if found.days != found.days else found.days,
        "events": len(found.events),
        "series": len(panel),
        "channels": len(panel.channels),
        "clock": panel.clock.describe(),
        "cpu_s": cpu_s,
        "seed": config.seed,
        "command": shlex.join(["forecast", *sys.argv[1:]]),
        "version": version("forecast"),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_durably(out / "summary.json", json.dumps(summary, indent=1).encode())
    return summary
