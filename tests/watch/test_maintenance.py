"""Windows of maintenance in a watch: judged, not told, not learned; the same bytes in any batches and after a restart."""

import json
from pathlib import Path

import numpy as np
import pytest

from forecast.detect.standard import Standard
from forecast.models.kalman import Kalman
from forecast.models.ridge import Ridge
from forecast.series.maintenance import Maintenance, Window
from forecast.watch import history
from forecast.watch.arrival import Rows
from forecast.watch.build import build
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.moments import one_moment
from forecast.watch.parse import Parser
from forecast.watch.refit import Refit
from forecast.watch.scorer import Scored
from forecast.watch.sinks.jsonl import Jsonl
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling, maintained
from forecast.watch.warmup import Plan
from tests.watch import outcome
from tests.watch.test_live import MINUTE, WARM, equal, scored, stream

FROM, TO = WARM + 20, WARM + 30  # rows of the window, minutes
SENSORS = [f"s{i}" for i in range(5)]


def windows(early: bool = False, **flags: bool) -> Maintenance:
    """s1 and s3 are worked on."""
    spans = [(FROM, TO)] + ([(10, 15)] if early else [])
    return Maintenance([Window("s[13]", a * MINUTE, b * MINUTE, **flags) for a, b in spans])


def live(maintenance: Maintenance, model: str = "kalman", refit: Refit | None = None) -> Live:
    made = {"kalman": lambda: Kalman(trend="damped"), "ridge": lambda: Ridge(context=12, horizon=1)}[model]
    found = Live(
        model,
        lambda seasons: made(),
        lambda step: Standard(rate=1e-3),
        Plan(WARM, season=1),
        refit or Refit(),
        maintenance,
    )
    found.grow(SENSORS)
    return found


def wild(rows: Rows, by: float) -> Rows:
    """Rows of which those in the window are something else."""
    inside = np.isin(rows.who, [1, 3]) & (rows.time >= FROM * MINUTE) & (rows.time < TO * MINUTE)
    return rows._replace(value=np.where(inside, rows.value + by, rows.value))


@pytest.mark.parametrize("model", ["kalman", "ridge"])
@pytest.mark.parametrize("flags", [{}, {"shift": True}])
@pytest.mark.parametrize("batch", [1, 7, 10_000])
def test_what_is_done_in_the_window_moves_no_bit_after_it(model: str, flags: dict[str, bool], batch: int) -> None:
    rows = stream(5, WARM + 60)
    plain, moved = live(windows(early=True, **flags), model), live(windows(early=True, **flags), model)
    one, two = scored(plain, rows, len(rows.who)), scored(moved, wild(rows, 1e6), batch)
    after = rows.time >= TO * MINUTE
    assert equal(*(Scored(*(column[after] for column in out)) for out in (one, two)))
    assert plain.records(np.arange(5)) == moved.records(np.arange(5))
    inside = np.isin(rows.who, [1, 3]) & (rows.time >= FROM * MINUTE) & ~after & np.isfinite(rows.value)
    assert two.alarm[inside].all() and not one.alarm[inside].all()


def test_a_clock_that_stands_still_leaves_no_trace_of_the_rows() -> None:
    rows = stream(5, WARM + 60)
    inside = np.isin(rows.who, [1, 3]) & (rows.time >= FROM * MINUTE) & (rows.time < TO * MINUTE)
    shift = np.isin(rows.who, [1, 3]) & (rows.time >= TO * MINUTE)
    without = rows._replace(time=np.where(shift, rows.time - (TO - FROM) * MINUTE, rows.time)).take(~inside)
    still, never = live(windows(shift=True)), live(Maintenance())
    one, two = scored(still, rows, 64), scored(never, without, len(without.who))
    assert equal(Scored(*(column[~inside] for column in one)), two)


@pytest.mark.parametrize("cut", [50, (FROM + 4) * 5 + 2, (TO + 3) * 5])
def test_a_watch_that_is_started_again_goes_on_to_the_same_bytes_with_refits(cut: int) -> None:
    rows, refit = stream(5, WARM + 200), Refit(every=100, rows=80)
    whole, places = live(windows(early=True), refit=refit), np.arange(len(rows.who))
    out = scored(whole, rows, len(rows.who))
    first = live(windows(early=True), refit=refit)
    before = scored(first, rows.take(places[:cut]), 33)
    records, fixed, header, recent = first.records(np.arange(5)), dict(first.fixed()), first.header(), first.recent()
    second = Live(first.name, first.model, first.detector, first.plan, refit, first.windows)
    if header is not None:
        second.take_header(header)
    second.grow(SENSORS)
    second.restore(records, fixed)
    second.take_recent(recent)
    after = scored(second, rows.take(places[cut:]), 50)
    assert equal(Scored(*(np.concatenate(c) for c in zip(before, after, strict=True))), out)
    assert second.records(np.arange(5)) == whole.records(np.arange(5))
    for one in (whole, first, second):
        one.close()


def watched(folder: Path, lines: list[str], windows_: Maintenance) -> list[dict[str, object]]:
    """Alerts of a file of rows, read in one go or as it grew."""
    file = folder / "p.csv"
    for count in (len(lines) // 2, len(lines)):
        file.write_text("time,sensor,value\n" + "".join(lines[:count]))
        own = {"name": "file", "path": str(file), "follow": False}
        telling = Telling(maintenance=windows_)
        loop = Loop(
            build("source", own),
            Parser(),
            Live(
                "kalman",
                lambda seasons: Kalman(trend="none"),
                lambda step: Standard(rate=1e-4),
                Plan(100, season=1),
                windows=windows_,
            ),
            Store(folder / "state"),
            [Jsonl(folder / "alerts.jsonl")],
            Options(seconds=0.05),
            telling,
        )
        loop.run()
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]


def test_alarms_and_silence_in_a_window_are_scored_and_not_told(tmp_path: Path) -> None:
    base, random = 1_700_000_000, np.random.default_rng(2)
    lines = []
    for t in range(400):
        for name in ("a", "b", "c"):
            value = random.normal() + (30.0 if 200 <= t < 210 else 0.0)
            if not (name == "c" and 240 <= t < 280):
                lines.append(f"{base + 60 * t},{name},{value:.4f}\n")
    span = (base + 60 * 195) * 1_000_000, (base + 60 * 275) * 1_000_000
    alerts = watched(tmp_path, lines, Maintenance([Window("[bc]", *span)]))
    told = {(one["sensor"], one["kind"]) for one in alerts if one["state"] == "open"}
    assert any(sensor == "a" for sensor, _ in told)
    assert not any(sensor in ("b", "c") for sensor, _ in told), told
    reader = Reader(tmp_path / "state" / "state.db")
    scores = history.together([history.read(block) for block in reader.blocks()])
    counts = json.loads(reader.fact("watch") or b"{}")["counts"]
    reader.close()
    inside = (
        (scores.who == 1)
        & (scores.time >= (base + 60 * 200) * 1_000_000)
        & (scores.time < (base + 60 * 210) * 1_000_000)
    )
    assert (scores.score[inside] >= 0.5).all() and inside.sum() == 10
    assert counts["alarms in maintenance"] >= 20
    assert outcome.of(tmp_path).doubled == 0


def test_a_sensor_that_does_not_come_back_after_its_window_is_told(tmp_path: Path) -> None:
    base, random = 1_700_000_000, np.random.default_rng(3)
    lines = [
        f"{base + 60 * t},{name},{random.normal():.4f}\n" for t in range(400) for name in "ab" if name == "a" or t < 240
    ]
    span = (base + 60 * 230) * 1_000_000, (base + 60 * 300) * 1_000_000
    (silent,) = [one for one in watched(tmp_path, lines, Maintenance([Window("b", *span)])) if one["kind"] == "silent"]
    assert silent["sensor"] == "b" and silent["detected_at"] == "2023-11-15T03:33:20+00:00"


def test_of_windows_that_come_again_those_about_now_are_shown_as_mutes() -> None:
    windows = Maintenance.read(
        [{"every": "Sat 22:00-Sun 04:00", "sensor": "a*"}, {"every": "12:00-13:00", "alert": True}]
    )
    saturday, wednesday = (one_moment(word)[0] for word in ("2026-01-03T23:00Z", "2026-01-07T23:00Z"))
    (mute,) = maintained(windows, saturday)
    assert mute.holds("a1", "spike", saturday) and not mute.holds("b", "spike", saturday)
    assert maintained(windows, wednesday) == []
