"""Loaders of the sets with labelled anomalies.

With `raw` the rows of NAB and SKAB are numbered as they stand in the file, which is how their published scores count
them; otherwise they lie on their clocks: a series whose steps are whole multiples of the commonest one gets the absent
rows as missing, any other keeps its own times on an irregular clock. Repeated times keep their last row there.
"""

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from forecast.series.catalogue import Texts
from forecast.series.catalogue_forecasting import Loader, Notes, on_clock, regular, tensor_of, times_of
from forecast.series.clock import Clock, fixed_alias
from forecast.series.labels import Labels, Span, runs
from forecast.series.panel import Panel, panel_of
from forecast.series.protocol import Dataset, InFile, Probation, Protocol, Rows

NAB = Protocol(
    split=Probation(0.15, 750),
    metrics=("nab_standard", "nab_low_fp", "nab_low_fn"),
    pooling="one threshold over the whole corpus; scores summed over files, 0 = no alarm, 100 = perfect",
    raw=True,
    source="numenta/NAB v1.1",
)
SKAB = Protocol(
    split=Rows(400, 400),
    metrics=("f1", "false_alarm_rate", "missed_alarm_rate"),
    pooling="all points of all files together",
    raw=True,
    source="waico/SKAB v0.9",
)
BY_ROWS = Protocol(
    split=InFile(()),
    metrics=("best_f1", "average_precision"),
    pooling="mean over series",
    source="own figures; no table for this selection",
)
UCR = Protocol(
    split=InFile(()),
    metrics=("hit",),
    pooling="share of series whose highest score lies within 100 rows of the anomaly",
    source="Wu and Keogh (2021)",
)


def nab(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """42 files, one value each; labels are the windows around the anomalies."""
    windows = json.loads(texts["nab/combined_windows.json"].read())
    frames, spans = {}, []
    for path in texts.paths():
        name = path.removeprefix("nab/").removesuffix(".csv")
        frame = pd.read_csv(texts[path], index_col="timestamp", parse_dates=True)
        for start, end in windows[f"{name}.csv"]:
            inside = (frame.index >= pd.Timestamp(start)) & (frame.index <= pd.Timestamp(end))
            rows = np.flatnonzero(inside)
            spans.append(
                (name, int(rows[0]), int(rows[-1]), "anomaly", ())
                if raw
                else (name, pd.Timestamp(start), pd.Timestamp(end), "anomaly", ())
            )
        frames[name] = frame
    labels = Labels.of(spans)
    panels = [("nab", _numbered(frames), ())] if raw else _by_clock("nab", frames)
    return tuple(Dataset(name, panel, NAB, labels.within(panel), notes) for name, panel, notes in panels)


def skab(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """30 experiments with 0/1 columns of anomalies and change points; apart the record without anomalies."""
    frames = {
        path.removeprefix("skab/").removesuffix(".csv"): pd.read_csv(
            texts[path], sep=";", index_col=0, parse_dates=True
        )
        for path in texts.paths()
    }
    normal = {"anomaly-free": frames.pop("anomaly-free/anomaly-free")}
    sensors = {name: frame.drop(columns=["anomaly", "changepoint"]) for name, frame in frames.items()}
    spans: list[Span] = []
    for name, frame in frames.items():
        times = pd.RangeIndex(len(frame)) if raw else frame.index
        for column in ("anomaly", "changepoint"):
            spans += [(name, times[low], times[high - 1], column, ()) for low, high in runs(frame[column])]
    made = []
    for word, group in (("skab", sensors), ("skab/anomaly-free", normal)):
        panels = [(word, _numbered(group), ())] if raw else _by_clock(word, group)
        made += [Dataset(name, panel, SKAB, Labels.of(spans).within(panel), notes) for name, panel, notes in panels]
    return tuple(made)


def smd(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """Five machines of 38 metrics: the train file, then the test file; labels with the metrics they concern."""
    names = [path.removeprefix("smd/").removesuffix("_train.csv") for path in texts.paths("_train.csv")]
    values, train, spans = {}, [], []
    for name in names:
        before, after = (
            pd.read_csv(texts[f"smd/{name}_{part}.csv"], header=None).to_numpy(dtype=np.float64)
            for part in ("train", "test")
        )
        values[name] = torch.from_numpy(np.concatenate([before, after]))
        train.append(len(before))
        spans += _machine_spans(texts, name, len(before))
    panel = panel_of(values)
    channels = tuple(f"metric_{i}" for i in range(1, len(panel.channels) + 1))
    return (
        Dataset(
            "smd", replace(panel, channels=channels), replace(BY_ROWS, split=InFile(tuple(train))), Labels.of(spans)
        ),
    )


def _machine_spans(texts: Texts, name: str, offset: int) -> list[Span]:
    """Runs of the 0/1 file; the interpretation file names the metrics of the half-open interval with the same start."""
    flags = np.loadtxt(texts[f"smd/{name}_test_label.csv"], dtype=np.int8)
    concerned = {}
    for line in texts[f"smd/{name}_interpretation_label.txt"].read().decode().split():
        interval, metrics = line.split(":")
        concerned[int(interval.split("-")[0])] = tuple(f"metric_{m}" for m in metrics.split(","))
    return [(name, offset + low, offset + high - 1, "anomaly", concerned.get(low, ())) for low, high in runs(flags)]


def kpi(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """Eight metrics on two clocks, with a 0/1 column; the first half of each is for training."""
    groups: dict[int, dict[str, pd.DataFrame]] = defaultdict(dict)
    for path in texts.paths():
        frame = pd.read_csv(texts[path], index_col="timestamp")
        seconds = int(frame.index[1] - frame.index[0])
        frame.index = pd.to_datetime(frame.index, unit="s").as_unit("us")
        groups[seconds][path.removeprefix("kpi/").removesuffix(".csv")] = frame
    made = []
    for seconds, frames in groups.items():
        day = 86400 // seconds
        start = min(frame.index[0] for frame in frames.values())
        clock = Clock("time", start, fixed_alias(seconds * 1_000_000))
        panel, notes = on_clock({name: frame[["value"]] for name, frame in frames.items()}, clock, (day, 7 * day))
        train = [int((frame["split"] == "train").sum()) for frame in frames.values()]
        flags = (
            torch.from_numpy(np.concatenate([frame["label"].to_numpy(dtype=np.int64) for frame in frames.values()])) > 0
        )
        made.append(
            Dataset(
                f"kpi/{clock.step}",
                panel,
                replace(BY_ROWS, split=InFile(tuple(train))),
                Labels.of_rows(panel, flags),
                notes,
            )
        )
    return tuple(made)


def ucr(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """35 series, one anomaly each behind the training rows."""
    index = pd.read_csv(texts["ucr/ucr_index.csv"])
    values = {name: tensor_of(pd.read_csv(texts[f"ucr/{name}.csv"], usecols=["value"])) for name in index["name"]}
    bounds = zip(index["name"], index["anomaly_start"], index["anomaly_end_excl"], strict=True)
    spans: list[Span] = [(name, int(start), int(end) - 1, "anomaly", ()) for name, start, end in bounds]
    return (
        Dataset(
            "ucr", panel_of(values), replace(UCR, split=InFile(tuple(index["train_end"].tolist()))), Labels.of(spans)
        ),
    )


def plant(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """The made plant: the four weeks before the first event are for training."""
    frame = pd.read_csv(texts["plant.csv"], index_col=0, parse_dates=True)
    events = pd.read_csv(texts["plant_labels.csv"], parse_dates=["start", "end"])
    panel, notes = on_clock({"plant": frame}, regular(times_of(frame), "30min"), (48, 336))
    channels = [tuple(names.split()) for names in events["channels"]]
    spans = list(zip(events["unique_id"], events["start"], events["end"], events["kind"], channels, strict=True))
    protocol = Protocol(Rows(28 * 48, 28 * 48), (48,), (48, 336), ("mase", "wql"), "mean over channels", step=48)
    return (Dataset("plant", panel, protocol, Labels.of(spans), notes),)


def _numbered(frames: dict[str, pd.DataFrame]) -> Panel:
    """Rows numbered as they stand in the file."""
    values = {name: tensor_of(frame) for name, frame in frames.items()}
    return replace(panel_of(values), channels=tuple(next(iter(frames.values())).columns))


def _by_clock(name: str, frames: dict[str, pd.DataFrame]) -> list[tuple[str, Panel, Notes]]:
    """One panel per clock: by step, and on a regular clock by what is left of the time after whole steps."""
    groups: dict[tuple[bool, int, int], dict[str, pd.DataFrame]] = defaultdict(dict)
    repeated = {}
    for series, frame in frames.items():
        single = frame[~frame.index.duplicated(keep="last")].sort_index()
        stamps = single.index.to_numpy().astype("datetime64[us]").astype(np.int64)
        single.index = pd.DatetimeIndex(stamps.astype("datetime64[us]"))
        steps = np.diff(stamps)
        common = int(pd.Series(steps).mode()[0])
        # Where most rows would be absent the commonest step is not the clock.
        irregular = bool((steps % common).any()) or int(steps.sum()) // common > 2 * len(steps)
        groups[irregular, common, 0 if irregular else int(stamps[0]) % common][series] = single
        if len(single) < len(frame):
            repeated[series] = f"{series}: {len(frame) - len(single)} repeated times, the last row kept"
    panels = []
    for (irregular, common, rest), group in sorted(groups.items()):
        notes = tuple(repeated[series] for series in group if series in repeated)
        step = fixed_alias(common)
        if irregular:
            panels.append((f"{name}/irregular-{step}", _irregular(group, common), notes))
        else:
            clock = Clock("time", min(frame.index[0] for frame in group.values()), step)
            panel, absent = on_clock(group, clock, _seasons(common))
            panels.append((f"{name}/{step}{f'+{fixed_alias(rest)}' if rest else ''}", panel, notes + absent))
    return panels


def _irregular(frames: dict[str, pd.DataFrame], unit: int) -> Panel:
    """Every row keeps its own time."""
    panel = _numbered(frames)
    stamps = torch.cat([torch.from_numpy(frame.index.to_numpy().astype(np.int64)) for frame in frames.values()])
    return replace(panel, stamps=stamps, start=stamps[panel.first[:-1]], clock=Clock("irregular", 0, unit=unit))


def _seasons(microseconds: int) -> tuple[int, ...]:
    """A day and a week, where the step is at least a minute."""
    day = 86_400_000_000 // microseconds
    return (day, 7 * day) if microseconds >= 60_000_000 else ()


DETECTION: dict[str, Loader] = {"nab": nab, "skab": skab, "smd": smd, "kpi": kpi, "ucr": ucr, "plant": plant}
