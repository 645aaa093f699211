"""Every figure function draws labelled things on the Axes it is given, and returns them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa.stattools import acf

from forecast.report import dataset, figures, reliability
from forecast.report.numbers import moment, number, seconds
from forecast.report.tables import Tables, read
from forecast.report.theme import BLUE, GREEN, PURPLE, VERMILION, safe
from tests.report.bench import folder


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return read(folder(tmp_path_factory.mktemp("run")))


def labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_leaderboard(ax: Axes, tables: Tables) -> None:
    assert figures.plot_leaderboard(ax, tables.leaderboard, "seasonal_naive", "MASE") is ax
    assert [t.get_text() for t in ax.get_yticklabels()] == list(tables.leaderboard["model"])
    assert {"better", "cannot tell"} <= set(labels(ax)) and ax.get_xlabel() == "MASE"
    assert ax.yaxis_inverted(), "the best stands on top"


def test_fan(ax: Axes, tables: Tables) -> None:
    one = tables.won[(tables.won["unique_id"] == "a") & (tables.won["cutoff"] == tables.won["cutoff"].max())]
    history = tables.history[tables.history["unique_id"] == "a"]
    assert figures.plot_fan(ax, history, one, 24) is ax
    past, median, happened = ax.get_lines()[:3]
    assert len(past.get_xdata()) == 24
    np.testing.assert_array_equal(np.asarray(median.get_ydata()), one["q0.5"])
    np.testing.assert_array_equal(np.asarray(happened.get_ydata())[1:], one["y"])
    assert len(ax.collections) == 3 and len(labels(ax)) == 3


def test_strip(ax: Axes, tables: Tables) -> None:
    one = tables.won[tables.won["unique_id"] == "a"]
    worst = one["cutoff"].iloc[0]
    assert figures.plot_strip(ax, tables.history[tables.history["unique_id"] == "a"], one, worst) is ax
    assert len(ax.collections) == one["cutoff"].nunique()
    assert labels(ax) == ["what happened", "median and 90 % interval", "worst cutoff"]


def test_lines(tables: Tables) -> None:
    shown = tables.shown
    ax = figures.plot_calibration(Figure().add_subplot(), tables.calibration, shown)
    assert set(shown) < set(labels(ax)) and ax.get_xlabel() and ax.get_ylabel()
    ax = figures.plot_by_lead(Figure().add_subplot(), tables.by_lead, shown, "MASE")
    assert labels(ax) == shown and ax.get_ylabel() == "MASE" and ax.get_ylim()[0] == 0


def test_heat(ax: Axes) -> None:
    table = pd.DataFrame([[1.0, np.nan], [0.5, 2.0]], index=["Mon", "Tue"], columns=[0, 12])
    assert figures.plot_heat(ax, table, "error") is ax
    assert [t.get_text() for t in ax.get_yticklabels()] == ["Mon", "Tue"]
    assert ax.collections[0].get_array().mask.sum() == 1, "a cell without readings stays empty"


def test_errors(tables: Tables) -> None:
    scores = reliability.normal_scores(tables.won)
    for draw in (figures.plot_scores, figures.plot_quantiles, figures.plot_autocorrelation):
        ax = draw(Figure().add_subplot(), scores)
        assert ax.get_xlabel() and ax.get_ylabel() and (ax.get_lines() or ax.collections)


def test_first_look(ax: Axes) -> None:
    values = np.array([1.0, np.nan, 3.0, 4.0])
    look = dataset.Look("_x", pd.date_range("2026-01-01", periods=4), values)
    assert dataset.plot_series(ax, look) is ax
    assert ax.get_title(loc="left") == safe("_x") and ax.get_title(loc="right") == "| missing"
    assert len(ax.get_lines()[1].get_xdata()) == 1, "the one missing row"


def test_autocorrelation_is_that_of_statsmodels() -> None:
    y = np.random.default_rng(1).standard_normal(50).cumsum()
    np.testing.assert_allclose(figures.autocorrelation(y, 8), acf(y, nlags=8)[1:], atol=1e-12)


@pytest.mark.parametrize("persistence", [0.0, 0.9])
def test_ljung_box_is_that_of_statsmodels(persistence: float) -> None:
    rng = np.random.default_rng(2)
    y = np.zeros(60)
    for t in range(1, 60):
        y[t] = persistence * y[t - 1] + rng.standard_normal()
    theirs = acorr_ljungbox(y, lags=[6])
    statistic, chance = reliability.ljung_box(y, 6)
    assert statistic == pytest.approx(float(theirs["lb_stat"].iloc[0]), rel=1e-10)
    assert chance == pytest.approx(float(theirs["lb_pvalue"].iloc[0]), abs=1e-10)


def test_normal_scores_of_a_normal_forecast(tables: Tables) -> None:
    """The winner's forecasts are N(median, 0.5²), so its scores are (y − median) / 0.5."""
    one = tables.won
    exact = ((one["y"] - one["q0.5"]) / 0.5).to_numpy()
    near = np.abs(exact) < 1.6
    np.testing.assert_allclose(reliability.normal_scores(one)[near], exact[near], atol=1e-9)


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_are_seen_on_both_grounds() -> None:
    style = (Path(figures.__file__).parent / "page.html").read_text()
    grounds = [part.split(";")[0] for part in style.split("--ground: ")[1:]]
    softs = [part.split(";")[0] for part in style.split("--soft: ")[1:]]
    assert len(grounds) == len(softs) == 2
    for ground, soft in zip(grounds, softs, strict=True):
        assert contrast(soft, ground) >= 4.5
        assert all(contrast(colour, ground) >= 3 for colour in (BLUE, VERMILION, GREEN, PURPLE))


def test_numbers_for_people() -> None:
    given = [0.83825, 12345.6, 1.234e9, float("nan"), None, 3, 45.678, 0.0000123]
    assert [number(v) for v in given] == ["0.838", "12,346", "1.23e+09", "–", "–", "3", "45.68", "1.23e-05"]
    assert [seconds(v) for v in (1.1e-5, 2.5)] == ["< 0.001", "2.500"]
    assert moment(pd.Timestamp("2026-01-02")) == "2026-01-02"
    assert moment(pd.Timestamp("2026-01-02 03:04")) == "2026-01-02 03:04"


def test_labels() -> None:
    assert safe("_x") == "\u200b_x" and safe("a\nb") == "a b" and len(safe("a" * 300)) == 28


def test_powers_of_ten_are_numbers(ax: Axes) -> None:
    """Mathematics is not read in labels, so that no name can be taken for it."""
    from forecast.report.alarms import plot_thresholds

    plot_thresholds(ax, np.geomspace(1e-9, 0.5, 5000), 0.01, "per day", 1e-3)
    ax.figure.canvas.draw()
    shown = [label.get_text() for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]]
    assert any(shown) and not any("$" in text for text in shown)


def test_long_names_below_a_heat_map_do_not_run_into_each_other(ax: Axes) -> None:
    names = [f"a channel with a long name {k}" for k in range(8)]
    figures.plot_heat(ax, pd.DataFrame(np.ones((3, 8)), columns=names), "share")
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {30.0}
    figures.plot_heat(ax, pd.DataFrame(np.ones((3, 2)), columns=["a", "b"]), "share")
