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
import pandas as pd
import torch
from numpy.typing import NDArray

from forecast import artefact
from forecast.durable import write_durably
from forecast.experiment import config, data, tables
from forecast.experiment.detection import (
    Found,
    calm_rows,
    days_of,
    detect,
    discovery_of,
    rate_of,
    ready,
    rows_per_day,
)
from forecast.experiment.detectors import build
from forecast.experiment.judging import Scored, beside, labelled_rows
from forecast.experiment.maintained import learnable, windows_of
from forecast.experiment.tracking import recording
from forecast.experiment.weights import label_of, together
from forecast.report import detection as report
from forecast.report.numbers import number
from forecast.series.labels import Labels
from forecast.series.panel import Panel

MONITOR, JUDGED = "monitor.bin", "judged.csv"
SHOWN = 12
OFTEN = 3  # times as many alarms as asked for that are worth a word
PRINTED = ["scores", "vus_pr", "ap", "f1", "best_f1", "event_recall", "delay_rows", "false_events_per_1000_rows"]


def run(config: config.Detect, out: Path) -> int:
    """The verb: read, learn what is normal, score what comes after it, write, draw."""
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    source = data.load(config.data)
    panel = source.panel if config.season is None else replace(source.panel, seasons=(config.season,))
    rate = rate_of(
        panel,
        config.false_alarms_per_day,
        config.false_alarm_rate,
        config.false_alarms_per_fleet_day,
        config.false_discovery_rate,
    )
    windows = windows_of(panel, config.maintenance)
    discovery = discovery_of(config.false_discovery_rate, config.discovery_memory)
    started = time.process_time()
    calm = calm_rows(panel, config.calm)
    members = config.models or (config.model,)
    model, named = together(members, learnable(panel, windows), calm, config.seed), label_of(members)
    with recording(config.tracking, Path(config.out), f"detect {source.name}", {"verb": "detect"}) as recorder:
        monitor = ready(model, build(config.detector, rate, panel.season), panel, calm, windows)
        artefact.save_monitor(out / MONITOR, monitor)
        found = detect(monitor, panel, calm, config.gap, windows, discovery)
        cpu_s = time.process_time() - started
        judged, said = judgement(found, panel, source.intake.labels, calm, config)
        summary = write(found, judged, said, panel, calm, source.name, config, out, cpu_s)
        report.write(out)
        recorder.parameters({"data": source.name, "model": named, "rate": rate})
        recorder.metrics({key: value for key, value in summary.items() if isinstance(value, float)})
        if judged is not None:
            ours = judged.drop(columns="scores").iloc[0].dropna()
            recorder.metrics({str(word): float(value) for word, value in ours.items()})
        for name in ("summary.json", "events.csv", "report.html"):
            recorder.artefact(out / name)
    print("\n".join([summary["verdict"], *summary["details"]]))
    if judged is not None:
        print(judged[PRINTED].set_index("scores").T.to_string(float_format=number, header=True))
    if len(found.events):
        print(found.events.head(SHOWN).to_string(index=False))
    print(f"Report: {out / 'report.html'}")
    return 3 if len(found.events) else 0


def judgement(
    found: Found, panel: Panel, labels: Labels | None, calm: NDArray[np.int64], config: config.Detect
) -> tuple[pd.DataFrame | None, list[str]]:
    """The scores against the labels beside those of chance, None where there is nothing to judge; and what to say of it."""
    flags = labelled_rows(panel, labels)
    if flags is None:
        return None, []
    scored, hidden = [], 0
    for s, score in found.rows_of.items():
        low, high = int(panel.first[s]) + int(calm[s]), int(panel.first[s + 1])
        scored.append(Scored(score, flags[low:high], days_of(panel, s, int(calm[s]))))
        hidden += int(flags[int(panel.first[s]) : low].sum())
    said = [f"{hidden} of the calm rows are labelled and raise the thresholds; a smaller calm= leaves them out."]
    said = said if hidden else []
    if not any(one.label.any() for one in scored):
        return None, [*said, "No row after the calm ones is labelled: there is nothing to judge the scores by."]
    table = beside(scored, found.rate, config.seed, config.gap)
    return table, [verdict_on(table), *said]


def verdict_on(judged: pd.DataFrame) -> str:
    """One sentence on how the scores did against the labels."""
    ours, chance = judged.iloc[0], judged.iloc[1]
    daily = ours.get("false_events_per_day", float("nan"))
    often = (
        f"{number(daily)} a day" if daily == daily else f"{number(ours['false_events_per_1000_rows'])} in 1,000 rows"
    )
    return (
        f"Against the labels: {ours['event_recall']:.0%} of the labelled events found, {often} false ones, "
        f"F1 {ours['f1']:.2f}, VUS-PR {ours['vus_pr']:.2f} (a random score: {chance['vus_pr']:.2f})."
    )


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _asked(rate: float, daily: float, config: config.Detect) -> str:
    """The budget in words."""
    if config.false_discovery_rate is not None:
        return f"False alarms asked for: at most {config.false_discovery_rate:.2g} of all alarms"
    return f"False-alarm rate asked for: {rate:.2g} per row" + (
        f" ({rate * daily:.2g} a day and series)" if daily == daily else ""
    )


def _often(found: Found, config: config.Detect) -> list[str]:
    """A word where many more rows have an alarm than was asked for."""
    times = found.measured / found.rate
    if config.false_discovery_rate is not None or times < OFTEN or found.measured * found.rows < 10 * OFTEN:
        return []
    held = config.detector["name"] in ("steady", "adaptive")
    other = "" if held else "; detector=steady holds the events to what was asked, detector=adaptive the rows, and both find less"
    return [
        f"Rows with an alarm are {times:.0f} times as many as asked for: what came is unlike the rows learned from, "
        f"or lasts. A larger calm= learns from more rows{other}."
    ]


def write(
    found: Found,
    judged: pd.DataFrame | None,
    said: list[str],
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
            "events.parquet": found.events,
        }
        | ({} if judged is None else {JUDGED: judged}),
    )
    several = f" of {len(panel)} series" if len(panel) > 1 else ""
    what = f"{len(found.events)} event{'s' * (len(found.events) != 1)}" if len(found.events) else "No event"
    alike = f"{found.muted_alarms:,} of them with a score of an alarm, none told" if found.muted_alarms else "no alarm"
    muted = f"In maintenance: {found.muted:,} row{'s' * (found.muted != 1)}, {alike}."
    summary: dict[str, Any] = {
        "data": name,
        "model": label_of(config.models or (config.model,)),
        "detector": config.detector["name"],
        "verdict": f"{what} in {found.rows:,} rows{several} of {name}",
        "details": [
            f"{_asked(found.rate, rows_per_day(panel), config)}; rows with an alarm: {found.measured:.2g}. "
            f"Learned from the first {_span(int(calm.min()), int(calm.max()))} rows of each series.",
            *_often(found, config),
            *said,
            *([muted] if config.maintenance else []),
        ],
        "judged": None if judged is None else JUDGED,
        "rate": found.rate,
        "false_discovery_rate": config.false_discovery_rate,
        "measured": found.measured,
        "rows": found.rows,
        "alarmed": found.alarmed,
        "muted": found.muted,
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
