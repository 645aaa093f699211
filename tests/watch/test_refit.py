"""Estimated anew in the background: no row without a score, and the same bits whatever the batches and the kills."""

import logging
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from forecast.detect.standard import Standard
from forecast.errors import InputError
from forecast.models.kalman import Kalman
from forecast.watch import history
from forecast.watch.arrival import Rows
from forecast.watch.build import build
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.refit import LAG, PAGE, ROW, Refit, Refits
from forecast.watch.scorer import Scored
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling
from forecast.watch.warmup import Plan

MINUTE = 60_000_000
NAMES = ["a", "b", "c"]
ROWS = 480


def live(every: int = 150) -> Live:
    def model(seasons: tuple[int, ...]) -> Kalman:
        return Kalman(trend="none", seasons=seasons)

    return Live("kalman", model, lambda step: Standard(rate=1e-3), Plan(60, 200, 1), Refit(every, 128))


@pytest.fixture(scope="module")
def rows() -> Rows:
    random = np.random.default_rng(6)
    values = random.normal(size=(ROWS, 3)).cumsum(0) * 0.1 + random.normal(size=(ROWS, 3))
    values[200:, 0] *= 5  # what was an anomaly becomes usual
    values[random.random(values.shape) < 0.02] = np.nan
    times = np.repeat(np.arange(1, ROWS + 1) * MINUTE, 3)
    return Rows(np.tile(np.arange(3), ROWS), times, values.reshape(-1), np.arange(3 * ROWS))


class Kept:
    """A scorer with everything that a store would hold of it."""

    def __init__(self, scorer: Live) -> None:
        self.scorer, self.pages, self.fixed = scorer, {}, {}  # type: ignore[var-annotated]
        scorer.grow(NAMES)

    def observe(self, rows: Rows) -> Scored:
        out = self.scorer.observe(rows)
        self.scorer.changed()
        self.fixed |= dict(self.scorer.fixed())
        self.pages |= {(sensor, page): data for sensor, page, data in self.scorer.recent()}
        return out

    def state(self) -> object:
        header = self.scorer.header() if any(bank.news for bank in self.scorer.banks) else None
        self.header = header or self.header
        return self.header, self.scorer.records(np.arange(3)), sorted(self.fixed.items()), sorted(self.pages.items())

    def again(self) -> "Kept":
        """As the next process finds it."""
        header, records, _, _ = self.state()  # type: ignore[misc]
        self.scorer.close()
        other = live()
        other.take_header(header)
        found = Kept(other)
        found.fixed, found.pages, found.header = dict(self.fixed), dict(self.pages), header
        other.restore(records, found.fixed)
        other.take_recent([(sensor, page, data) for (sensor, page), data in sorted(found.pages.items())])
        return found

    header: bytes | None = None


@pytest.fixture(scope="module")
def whole(rows: Rows) -> tuple[Scored, object]:
    kept = Kept(live())
    out = kept.observe(rows)
    state = kept.state()
    kept.scorer.close()
    return out, state


def equal(one: Scored, other: Scored) -> bool:
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True))


def test_rows_are_scored_without_a_gap_and_by_other_parameters(rows: Rows, whole: tuple[Scored, object]) -> None:
    out, _ = whole
    scored = (rows.time > 60 * MINUTE) & np.isfinite(rows.value)
    assert np.isfinite(out.score[scored]).all()
    never = Kept(live(every=10_000))
    old = never.observe(rows)
    for sensor, name in enumerate(NAMES):
        phase = zlib.crc32(name.encode()) % 150
        first = next(c for c in range(phase, ROWS, 150) if c > 60) + LAG
        mine, at = rows.who == sensor, rows.time // MINUTE
        assert equal(Scored(*(c[mine & (at <= first)] for c in out)), Scored(*(c[mine & (at <= first)] for c in old)))
        assert not np.array_equal(out.upper[mine & (at > first)], old.upper[mine & (at > first)], equal_nan=True)


def test_what_has_become_usual_is_no_alarm_any_more(rows: Rows, whole: tuple[Scored, object]) -> None:
    late = (rows.who == 0) & (rows.time > 425 * MINUTE)
    assert whole[0].alarm[late].mean() < 0.1
    width = whole[0].upper - whole[0].lower
    assert np.nanmedian(width[late]) > 2 * np.nanmedian(width[(rows.who == 0) & (rows.time < 150 * MINUTE)])


@pytest.mark.parametrize("batch", [101, *(pytest.param(batch, marks=pytest.mark.slow) for batch in (1, 7, 500))])
def test_batches_and_restarts_change_no_bit(rows: Rows, whole: tuple[Scored, object], batch: int) -> None:
    kept, parts = Kept(live()), []
    edges = [*range(0, len(rows.who), batch), len(rows.who)]
    for n, (low, high) in enumerate(pairwise(edges)):
        parts.append(kept.observe(rows.take(np.arange(low, high))))
        if n and n % max(len(edges) // 12, 1) == 0:
            kept = kept.again()
    assert equal(Scored(*(np.concatenate(c) for c in zip(*parts, strict=True))), whole[0])
    assert kept.state() == whole[1]
    kept.scorer.close()


def test_the_last_rows_are_kept_in_pages_and_no_more_of_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "forecast")
    refits = Refits(Refit(1000, 200), lambda times, values: None)
    refits.grow(["a"])
    written: dict[int, bytes] = {}
    for stop in range(50, 1251, 50):
        times = np.arange(stop - 50, stop)
        refits.take(0, times, times / 2, times % 10 == 0)
        written |= {page: data for _, page, data in refits.written()}
    assert len(written) == refits.pages == (200 + LAG) // PAGE + 2
    assert sum(map(len, written.values())) <= refits.pages * PAGE * ROW.itemsize
    again = Refits(Refit(1000, 200), lambda times, values: (times, values))
    again.grow(["a"])
    again.count[:] = 1250
    again.restore([(0, page, data) for page, data in written.items()])
    last = again.last(0, 200, 7)
    assert last["time"].tolist() == list(range(1043, 1243))
    assert (last["value"] == last["time"] / 2).all()
    assert (last["alarm"] == (last["time"] % 10 == 0)).all()
    refits.close()
    again.close()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="refit: every=10"):
        Refit(10, 500)


def contents(folder: Path) -> object:
    """All that decides what comes next, and all that was decided."""
    reader = Reader(folder / "state" / "state.db")
    blocks = history.together([history.read(block) for block in reader.blocks()])
    found = reader.sensors(), reader.fixed(), reader.recent(), reader.fact("scorer"), [c.tobytes() for c in blocks]
    reader.close()
    return found


def test_a_watch_that_was_stopped_ends_with_the_same_store(rows: Rows, tmp_path: Path) -> None:
    table = zip(rows.who.tolist(), rows.time.tolist(), rows.value.tolist(), strict=True)
    lines = ["time,sensor,value\n"] + [f"{10**9 + t // 10**6},{NAMES[w]},{v}\n" for w, t, v in table]
    for name, stops in {"whole": [len(lines)], "parts": [600, 700, 1000, len(lines)]}.items():  # 207 and 271 of a
        (tmp_path / name).mkdir()
        for stop in stops:
            (tmp_path / name / "rows.csv").write_text("".join(lines[:stop]))
            source = build("source", {"name": "file", "path": str(tmp_path / name / "rows.csv"), "follow": False})
            Loop(source, Parser(), live(), Store(tmp_path / name / "state"), [], Options(), Telling()).run()
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
