"""What a plan says is what there is."""

import re
from pathlib import Path

import pytest

from forecast.watch import measure, plan
from forecast.watch.live import Live


def make() -> Live:
    scorer = measure.scorer_of("kalman 2", Path())
    assert isinstance(scorer, Live)
    return scorer


@pytest.mark.slow
def test_disk_and_memory_of_many_are_told_from_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST", 150)
    monkeypatch.setattr(plan, "READINGS", 600)
    said = plan.text(make, 600, None)
    number = {
        word: float(n.replace(",", "")) for word, n in re.findall(r"^  (\S.*?)  +(?:up to )?([\d,.]+)", said, re.M)
    }
    made = measure.stock(tmp_path, make(), 600, measure.WARM)
    disk = (tmp_path / "state" / "state.db").stat().st_size / 1e6
    assert number["state on disk"] == pytest.approx(disk, rel=0.1)
    assert number["memory"] == pytest.approx(780 + 600 * 3.2 * (made.record + made.fixed) / 1e6, abs=1)
    assert number["speed"] > 0
    assert "one; buckets=N" in said and "forecast.fleet" in plan._processes(4)
