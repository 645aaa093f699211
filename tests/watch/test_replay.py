"""A file as if it came now: the same rows whatever the pace and the kind of file, and each when it is due."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.watch.build import build
from forecast.watch.sources import replay
from forecast.watch.sources.replay import Replay
from tests.watch import outcome, plant
from tests.watch.process import run

T = 1_700_000_000


class Clock:
    """A clock that moves when somebody sleeps."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-3)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(replay, "time", made)
    return made


def when(source: Replay, clock: Clock, position: object = None) -> list[tuple[float, str]]:
    """Every line with the second at which it came."""
    source.open(position)
    start, out = clock.now, []
    while True:
        chunk = source.poll(0.5)
        if chunk is not None:
            out += [(round(clock.now - start, 1), line) for line in chunk.text.decode().splitlines()]
            if chunk.ended:
                return out


def rows(path: Path) -> Path:
    path.write_text(f"time,sensor,value\n{T},a,1\n{T + 60},a,2\n{T + 60},b,x\nbad,b,4\n{T + 90},b,5")
    return path


def test_lines_come_when_they_are_due(tmp_path: Path, clock: Clock) -> None:
    path = rows(tmp_path / "rows.csv")
    lines = path.read_text().splitlines()
    at = {speed: [second for second, _ in when(Replay(path, speed=speed), clock)] for speed in (1.0, 30.0, 0.0)}
    assert at == {1.0: [0, 0, 60, 60, 60, 90], 30.0: [0, 0, 2, 2, 2, 3], 0.0: [0] * 6}
    assert when(Replay(path, rate=2.0), clock) == list(zip([0, 0.5, 1, 1.5, 2, 2.5], lines, strict=True))


def test_it_goes_on_at_the_line_where_it_stood(tmp_path: Path, clock: Clock) -> None:
    path = rows(tmp_path / "rows.csv")
    lines = path.read_text().splitlines()
    assert when(Replay(path), clock, {"lines": 3}) == [(0, lines[3]), (0, lines[4]), (0, lines[5])]
    with pytest.raises(InputError, match="1 lines shorter"):
        Replay(path).open({"lines": 7})
    with pytest.raises(InputError, match=r"source: speed=-1\.0"):
        Replay(path, speed=-1.0)
    with pytest.raises(InputError, match="no such file"):
        build("source", {"name": "replay", "path": str(tmp_path / "none.csv")}).open(None)


def test_zipped_files_and_tables_are_the_same_lines(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=5000, freq="min"), "a": range(5000), "b": 0.25})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    with gzip.open(tmp_path / "t.csv.gz", "wb") as file:
        file.write((tmp_path / "t.csv").read_bytes())
    plain = list(replay.lines_of(tmp_path / "t.csv"))
    assert plain == list(replay.lines_of(tmp_path / "t.csv.gz"))
    table = pd.read_csv(pd.io.common.StringIO(b"".join(replay.lines_of(tmp_path / "t.parquet")).decode()))
    assert (table["a"] == frame["a"]).all()
    assert (pd.to_datetime(table["ds"]) == frame["ds"]).all()


def test_what_the_rows_lead_to_is_what_the_file_leads_to(tmp_path: Path) -> None:
    plant.write(tmp_path / "plant.csv", 4, 300, 3)
    for name, source in {
        "file": {"name": "file", "path": str(tmp_path / "plant.csv"), "follow": False},
        "replay": {"name": "replay", "path": str(tmp_path / "plant.csv"), "speed": 20_000},
    }.items():
        code, errors = run(tmp_path / name, source)
        assert code == 0, errors
    assert outcome.of(tmp_path / "file") == outcome.of(tmp_path / "replay")
