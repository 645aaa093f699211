"""Sections on a fitted structural model, from the tables that a training leaves."""

import re
from pathlib import Path

import pandas as pd
import pytest

from forecast.experiment.explained import explained
from forecast.experiment.tables import save
from forecast.models.decomposition import ROWS
from forecast.models.kalman import Kalman
from forecast.report.decomposition import FILES, sections
from forecast.series import catalogue


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local level of the Nile."""
    panel = catalogue.load("nile", [Path(__file__).parents[2] / "data"])[0].panel
    model = Kalman(trend="none")
    where = tmp_path_factory.mktemp("run")
    save(where, explained(model, model.estimate(panel.past(panel.lengths.tolist())), panel))
    return where


def test_the_tables_hold_every_row(folder: Path) -> None:
    components, residuals = (pd.read_parquet(folder / file) for file in FILES[:2])
    assert len(components) == len(residuals) == 100 and set(components["component"]) == {"level"}
    assert (components["low"] < components["value"]).all() and (components["value"] < components["high"]).all()
    facts = pd.read_csv(folder / FILES[2]).set_index("what")["value"]
    assert float(facts["noise of the observation"]) == pytest.approx(122.9, abs=0.3)  # √15099


def test_the_page_names_what_stands_out(folder: Path) -> None:
    made = sections(folder)
    assert [re.sub(" of .*", "", section.title) for section in made] == [
        "Components",
        "Standardised innovations",
        "Auxiliary residuals",
    ]
    assert "Ljung–Box Q(10) = " in made[1].finding and "no autocorrelation" in made[1].finding
    assert "outlier: 1 row beyond 3 (1913); shift of the level: 1 row beyond 3 (1899)" in made[2].finding
    assert all(picture.svg.startswith("<svg") and picture.alt for section in made for picture in section.pictures)


def test_of_many_rows_the_last_are_taken_apart_and_the_page_says_so(tmp_path: Path) -> None:
    panel = catalogue.load("co2", [Path(__file__).parents[2] / "data"])[0].panel
    model, count = Kalman(trend="none"), int(panel.lengths[0])
    save(tmp_path, explained(model, model.estimate(panel.past([count])), panel))
    residuals = pd.read_parquet(tmp_path / FILES[1])
    assert count > ROWS == len(residuals) and residuals["ds"].iloc[-1] == panel.times(0)[-1]
    assert f"Each part given the last {ROWS:,} of {count:,} rows" in sections(tmp_path)[0].finding


def test_a_run_without_such_tables_has_no_such_sections(tmp_path: Path) -> None:
    assert sections(tmp_path) == []
