"""Rows from before the stream: the same scores as if they had been in it, each row once, also through kills."""

import json
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.watch import history
from forecast.watch.alerts import iso
from forecast.watch.before import Before
from forecast.watch.book import apart
from forecast.watch.build import build
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.refit import Refit
from forecast.watch.status import sensors_of
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling
from forecast.watch.warmup import SIZE, Plan
from tests.watch import outcome, plant
from tests.watch.process import HOOKS, run
from tests.watch.test_warmup import live

T, STEP, ROWS, SEEN = 1_700_000_000, 1800, 400, 260  # seconds; rows of a sensor, of these in the file
NAMES = ("a", "b", "late")


def rows(low: int, high: int, names: tuple[str, ...] = NAMES) -> str:
    """Rows with a daily season; `late` begins 40 rows before the file ends."""
    random = np.random.default_rng(5).normal(size=(ROWS, len(NAMES)))
    lines = []
    for t in range(low, high):
        for s, name in enumerate(NAMES):
            if name in names and (name != "late" or t >= SEEN - 40):
                value = 3 * np.sin(2 * np.pi * t / 48) + random[t, s] + 40 * (s == 1 and t in (250, 300))
                lines.append(f"{T + STEP * t},{name},{value:.6f}\n")
    return "".join(lines)


def loop(folder: Path, stream: str, before: str | None = None, refit: Refit | None = None) -> Loop:
    """A watch over these rows, with those in a file of history."""
    folder.mkdir(exist_ok=True)
    (folder / "rows.csv").write_text("time,sensor,value\n" + stream)
    own = live(Plan(rows=150, longest=200))
    scorer = Live(own.name, own.model, own.detector, own.plan, refit or Refit())
    if before is not None:
        (folder / "before.csv").write_text("time,sensor,value\n" + before)
    past = None if before is None else Before(folder / "before.csv", Parser())
    source = build("source", {"name": "file", "path": str(folder / "rows.csv"), "follow": False})
    return Loop(source, Parser(), scorer, Store(folder / "state"), [], Options(), Telling(per_day=0.1), past)


def scores(folder: Path, first: int = 0) -> history.Scores:
    """Scores of rows from this one on, by sensor and time."""
    with closing(Reader(folder / "state" / "state.db")) as reader:
        found = history.together([history.read(block) for block in reader.blocks()])
    found = found.take(np.flatnonzero(found.time >= (T + STEP * first) * 1_000_000))
    return found.take(np.lexsort([found.time, found.who]))


@pytest.mark.parametrize("refit", [Refit(), Refit(every=90, rows=128)])
def test_rows_of_a_file_warm_up_as_rows_of_the_stream_do_and_count_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, refit: Refit
) -> None:
    loop(tmp_path / "whole", rows(0, ROWS), refit=refit).run()
    loop(tmp_path / "parted", rows(SEEN - 30, ROWS), rows(0, SEEN), refit).run()
    whole, parted = scores(tmp_path / "whole", SEEN), scores(tmp_path / "parted")
    assert len(parted.who) == 3 * (ROWS - SEEN)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(whole, parted, strict=True))
    assert np.isfinite(parted.score[parted.who < 2]).all()  # from the first row on
    states = []
    for name in ("whole", "parted"):
        with closing(Reader(tmp_path / name / "state" / "state.db")) as reader:
            parts = [apart(record, sensor) for _, sensor, record in reader.sensors()]
            states.append([(part.newest, part.turn, part.ring, part.own[SIZE:]) for part in parts])
            counts = json.loads(reader.fact("watch") or b"")["counts"]
            seen = {one.name: one for one in sensors_of(reader)}
            alerts = [json.loads(body) for _, body in reader.alerts()]
    assert states[0] == states[1]
    assert counts["in the history"] == 90 and counts["readings"] == 3 * (ROWS - SEEN)
    assert seen["a"].days == pytest.approx((ROWS - SEEN) / 48)  # those of the file are not among them
    assert {one["start"] for one in alerts if one["sensor"] == "b"} == {iso((T + STEP * 300) * 1_000_000)}
    assert "560 readings of 3 sensors, 2 of them ready" in caplog.text and " 1 alarm" in caplog.text


def test_a_second_start_reads_no_history_and_a_store_begun_without_takes_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = loop(tmp_path / "one", rows(SEEN, ROWS - 50), rows(0, SEEN))
    one.run()
    (tmp_path / "one" / "before.csv").unlink()
    with open(tmp_path / "one" / "rows.csv", "a") as file:
        file.write(rows(0, 10) + rows(ROWS - 50, ROWS))
    again = loop(tmp_path / "one", (tmp_path / "one" / "rows.csv").read_text().split("\n", 1)[1])
    again.run()
    assert again.counts["in the history"] == 20 and again.counts["aside: late"] == 0
    loop(tmp_path / "whole", rows(0, ROWS)).run()
    pairs = zip(scores(tmp_path / "whole", SEEN), scores(tmp_path / "one"), strict=True)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)
    loop(tmp_path / "one", rows(SEEN, ROWS), rows(0, 3)).close()
    assert "history=before.csv: read when this state folder was begun" in caplog.text
    with pytest.raises(InputError, match="begun without history="):
        loop(tmp_path / "whole", rows(0, ROWS), rows(0, SEEN))


def test_a_sensor_of_the_file_that_never_comes_is_silent_by_the_time_of_the_stream(tmp_path: Path) -> None:
    day = 48  # between the file and the stream
    loop(tmp_path, rows(SEEN + day, SEEN + day + 50, ("a",)), rows(0, SEEN, ("a", "b"))).run()
    with closing(Reader(tmp_path / "state" / "state.db")) as reader:
        assert {one.name: one.state for one in sensors_of(reader)} == {"a": "ACTIVE", "b": "SILENT"}
        (alert,) = [one for _, body in reader.alerts() if (one := json.loads(body))["kind"] == "silent"]
    assert (alert["sensor"], alert["start"]) == ("b", iso((T + STEP * (SEEN + day)) * 1_000_000))


def test_what_is_no_history_is_said(tmp_path: Path) -> None:
    for text, words in {"": "no reading in it", "x,a,1\n": r"no reading in it; not used: 1 no readable time"}.items():
        with pytest.raises(InputError, match=words):
            loop(tmp_path / words[:2], rows(0, 5), text)
        Store(tmp_path / words[:2] / "state").close()  # it was let go of
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=re.escape("nothing.csv: no such file; pass history=FILE")):
        Loop(
            build("source", {"name": "stdin"}),
            Parser(),
            live(Plan()),
            Store(tmp_path / "none"),
            [],
            Options(),
            Telling(),
            Before(Path("nothing.csv"), Parser()),
        )


@pytest.mark.parametrize("hooks", [("committed",), pytest.param(HOOKS, marks=pytest.mark.slow)])
def test_killed_in_any_commit_each_row_counts_once(tmp_path: Path, hooks: tuple[str, ...]) -> None:
    plant.write(tmp_path / "plant.csv", 8, 900, 6)
    header, *lines = (tmp_path / "plant.csv").read_text().splitlines(keepends=True)
    (tmp_path / "before.csv").write_text(header + "".join(lines[:3000]))
    (tmp_path / "rows.csv").write_text(header + "".join(lines[2500:]))
    source = {"name": "file", "path": str(tmp_path / "rows.csv"), "follow": False}
    source["history"] = str(tmp_path / "before.csv")
    assert run(tmp_path / "whole", source)[0] == 0
    whole = outcome.of(tmp_path / "whole")
    for count in (1, 2):  # in the commit of the history, and in the first one of the stream
        for hook in hooks:
            folder = tmp_path / f"{hook}{count}"
            assert run(folder, source, hook=f"{hook}:{count}")[0] == -9
            code, said = run(folder, source)
            assert (code, "it counts once" in said) == (0, hook == "committed" or count == 2)
            assert outcome.of(folder) == whole
    assert whole.counts["in the history"] == 500 and (whole.rows, whole.doubled) == (8 * 900 - 3000, 0)
