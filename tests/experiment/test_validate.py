"""`forecast validate` end to end: what is printed, the tables, the page, the pictures' words."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.report.dataset import POINTS, Look, plot_series, sentence
from forecast.report.theme import canvas
from tests.experiment.line import forecast

LATEST = Path("outputs/validate/latest")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    days = [f"2024-{1 + d // 28:02d}-{1 + d % 28:02d}" for d in range(84)]
    lines = [f"{day};{1.5 * (d % 7):.1f}".replace(".", ",") for d, day in enumerate(days) if d < 28]
    lines[10] = f"{days[10]};NA"
    (tmp_path / "pump <1>.csv").write_text("\n".join(["when;load", *lines]) + "\n")
    said = forecast("validate", "data.path=pump <1>.csv")
    assert said.code == 0, said.err
    assert re.search(r"^  missing +3\.57 %, longest 1 row from 2024-01-11", said.out, re.MULTILINE)
    assert "data.time=[when]" in said.out
    assert "never below 0: data.minimum=0" in said.out
    assert "never below" not in forecast("validate", "data.path=pump <1>.csv", "data.minimum=0").out
    (facts,) = json.loads((LATEST / "facts.json").read_text())
    assert (facts["rows"], facts["target"], facts["seasons"]) == (28, ["load"], [7])
    table = pd.read_csv(LATEST / "series.csv")
    assert table["rows"].tolist() == [28]
    assert table["missing"].tolist() == pytest.approx([1 / 28])
    assert len(pd.read_parquet(LATEST / "series.parquet")) == 1
    page = (LATEST / "report.html").read_text()
    assert "pump &lt;1&gt;.csv" in page and "pump <1>" not in page
    assert "<svg" in page and "27 readings between 0 and 9" in page
    assert re.search(r"""(?:src|href)="(?!#|data:)|url\((?!#)|@import""", page) is None
    assert "<script" not in page


def test_several_clocks_are_shown_one_after_the_other(tmp_path: Path) -> None:
    hours = [f"a,2024-01-01 {h:02d}:00,{h}" for h in range(24)]
    days = [f"b,2024-01-{d:02d},{d}" for d in range(1, 25)]
    (tmp_path / "x.csv").write_text("\n".join(["unique_id,ds,y", *hours, *days]) + "\n")
    said = forecast("validate", "data.path=x.csv")
    assert said.code == 0, said.err
    assert re.findall(r"^  clock +(\S+ \w+)", said.out, re.MULTILINE) == ["every hour", "every day"]
    assert pd.read_csv(LATEST / "series.csv")["unique_id"].tolist() == ["a", "b"]


def test_a_sweep_of_real_runs() -> None:
    said = forecast("validate", "-m", "data=nile,co2")
    assert said.code == 0, said.err
    assert LATEST.resolve().name == "1"
    clocks = [json.loads((LATEST / ".." / job / "facts.json").read_text())[0]["source"] for job in "01"]
    assert clocks == ["nile", "co2"]
    assert (LATEST / ".." / "0" / "report.html").is_file()


def test_a_data_set_without_an_end_is_one_line() -> None:
    said = forecast("validate", "data.path=absent.csv")
    assert said.code == 2
    assert said.err.startswith("forecast: absent.csv") and len(said.err.splitlines()) == 1
    assert not LATEST.exists()


@pytest.mark.parametrize("rows", [1, 60, POINTS, 10 * POINTS + 7])
def test_pictures_show_the_extremes_whatever_the_length(rows: int) -> None:
    values = np.sin(np.arange(rows) / 10.0)
    values[rows // 2] = 9.0
    with canvas(9, 2.6) as (_, ax):
        plot_series(ax, Look("a", pd.RangeIndex(rows), values))
        top = max(ax.dataLim.y1, ax.get_ylim()[1])
        drawn = sum(len(path.vertices) for c in ax.collections for path in c.get_paths())
        drawn += sum(len(line.get_xdata()) for line in ax.lines)
    assert top >= 9.0
    assert drawn < 4 * POINTS + 10


def test_pictures_have_words() -> None:
    index = pd.RangeIndex(4)
    assert sentence(Look("a", index, np.array([1, 2, np.nan, 6.0]))) == (
        "a: 3 readings between 1 and 6, half of them below 2; 1 missing"
    )
    assert sentence(Look("a", index, np.full(4, np.nan))) == "a: no readings"
    with canvas(9, 2.6) as (_, ax):
        plot_series(ax, Look("a", index, np.full(4, np.nan)))
        assert ax.get_title(loc="right") == "| missing"
