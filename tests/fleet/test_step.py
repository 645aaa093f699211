"""The step that an engine runs for a batch leads to what one watch of all rows leads to; no engine is needed to see it."""

import itertools
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.fleet import stream
from forecast.fleet.step import COLUMNS, Watching, step
from forecast.fleet.work import Settings
from forecast.watch import history
from forecast.watch.buckets import bucket_of
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.sources.file import File
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling

START = 1_700_000_000
WATCHING = Watching(warmup=60, season=1, false_alarms_per_day=1.0)


class Kept:
    """Records in memory."""

    def __init__(self) -> None:
        self.shared: bytes | None = None
        self.records: dict[str, bytes] = {}

    def header(self) -> bytes | None:
        return self.shared

    def keep_header(self, header: bytes) -> None:
        self.shared = header

    def record(self, sensor: str) -> bytes | None:
        return self.records.get(sensor)

    def keep(self, sensor: str, record: bytes) -> None:
        self.records[sensor] = record


def rows(sensors: int, count: int) -> list[str]:
    """Lines of a long CSV with spikes, missing values, and a few that are put aside."""
    random = np.random.default_rng(3)
    values = random.normal(size=(count, sensors)).cumsum(0) * 0.1 + random.normal(size=(count, sensors))
    values[count - 15, 0] += 30
    made = [f"{START + 60 * t},s{s},{values[t, s]:.4f}" for t in range(count) for s in range(sensors)]
    made[40], made[sensors * 70], made[-5] = "broken", made[sensors * 70].rpartition(",")[0] + ",", made[-13]
    return made


def local(folder: Path, lines: list[str], watching: Watching = WATCHING) -> pd.DataFrame:
    """What `forecast watch` makes of the lines: sensor, time and all scores."""
    folder.mkdir()
    (folder / "rows.csv").write_text("time,sensor,value\n" + "".join(line + "\n" for line in lines))
    source = File(folder / "rows.csv", follow=False)
    telling = Telling(maintenance=watching.windows)
    loop = Loop(source, Parser(), watching.scorer(), Store(folder / "state"), [], Options(), telling)
    loop.run()
    reader = Reader(folder / "state" / "state.db")
    scores = history.together([history.read(block) for block in reader.blocks()])
    names = np.array([name for _, name, _ in reader.sensors()], dtype=object)
    reader.close()
    columns = {name: getattr(scores, name) for name in scores._fields if name not in ("who", "kind")}
    return ordered(pd.DataFrame({"sensor": names[scores.who]} | columns))


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({"sensor": object}).sort_values(["sensor", "time"], ignore_index=True)


def test_batches_lead_to_what_one_watch_leads_to(tmp_path: Path) -> None:
    lines, memory = rows(4, 110), Kept()
    cuts = [0, 1, 150, 250, 300, 430, len(lines)]
    parts = [
        step(stream.parse(lines[a:b], WATCHING).sample(frac=1, random_state=0), memory, WATCHING)
        for a, b in itertools.pairwise(cuts)
    ]
    found = pd.concat(parts, ignore_index=True)
    fine, want = ordered(found[found["aside"].isna()]), local(tmp_path / "local", lines)
    assert list(found.columns) == list(COLUMNS)
    pd.testing.assert_frame_equal(fine[list(want.columns)], want, check_exact=True, check_dtype=False)
    assert sorted(found["aside"].dropna()) == ["number of columns", "repeated"]
    assert fine["alarm"].any() and set(fine.loc[fine["alarm"], "kind"]) - {""}


def test_rows_in_maintenance_are_scored_not_learned_and_no_alarms(tmp_path: Path) -> None:
    lines, memory = rows(2, 110), Kept()
    minute = {name: pd.Timestamp(START + 60 * t, unit="s").isoformat() for name, t in (("start", 90), ("end", 100))}
    watching = replace(WATCHING, maintenance=[{"sensor": "s0"} | minute])
    parts = [step(stream.parse(some, watching), memory, watching) for some in (lines[:200], lines[200:])]
    found = pd.concat(parts, ignore_index=True)
    fine, want = ordered(found[found["aside"].isna()]), local(tmp_path / "local", lines, watching)
    pd.testing.assert_frame_equal(fine[list(want.columns)], want, check_exact=True, check_dtype=False)
    spike = (fine["sensor"] == "s0") & (fine["time"] == (START + 60 * 95) * 1_000_000)
    assert float(fine.loc[spike, "score"].iloc[0]) > 0.5 and not fine.loc[spike, "alarm"].any()
    after = (fine["sensor"] == "s0") & (fine["time"] >= (START + 60 * 100) * 1_000_000)
    assert fine.loc[after, "score"].notna().any()


def test_a_bucket_is_the_same_everywhere() -> None:
    names = [f"plant/é{i}" for i in range(1000)]
    counts = np.bincount([bucket_of(name, 8) for name in names], minlength=8)
    assert counts.min() > 80
    assert bucket_of("s1", 7) == zlib.crc32(b"s1") % 7


def test_what_cannot_be_found_bucket_by_bucket_has_to_be_said() -> None:
    with pytest.raises(InputError, match="season=24"):
        Settings(season=None)
