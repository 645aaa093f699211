"""What is missing is missing where it says; a fill knows no row after the cutoff; the model's own way is that of its state."""

import numpy as np
import pandas as pd
import pytest

from forecast.experiment.benchmark.gaps import FILLS, as_given, pattern, walk
from tests.experiment.line import forecast

SEASON = 4


@pytest.mark.parametrize("kind", ["chance", "stretches", "rows"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_is_missing(kind: str, share: float) -> None:
    seen = pattern(kind, (6000, 3), share, SEASON, 0)
    assert abs(1 - seen.mean() - share) < 0.02
    if kind == "rows":
        assert (seen.all(1) == seen.any(1)).all()
    if kind == "stretches":
        runs = np.diff(np.flatnonzero(np.diff(seen[:, 0].astype(int))))
        assert set(runs.tolist()) == {6, round(6 / share) - 6}, "a gap of 1.5 seasons, and the rows between two"


@pytest.mark.parametrize("how", FILLS)
@pytest.mark.parametrize("kind", ["chance", "stretches"])
def test_what_is_given_before_a_cutoff_follows_from_the_rows_before_it(how: str, kind: str) -> None:
    """The straight line across a gap that is still open would know what comes."""
    values = np.random.default_rng(1).normal(size=(120, 2))
    seen = pattern(kind, values.shape, 0.4, SEASON, 2)
    later = values.copy()
    later[60:] += 100
    made = [as_given(one, seen, how, SEASON, False) for one in (values, later)]
    edge = int(made[0].since[60])
    for a, b in zip(*(np.concatenate([rows.closed[:edge], rows.held[edge:60]]) for rows in made), strict=True):
        np.testing.assert_array_equal(a, b)
    given = np.concatenate([made[0].closed[:edge], made[0].held[edge:60]])
    np.testing.assert_array_equal(given[seen[:60]], values[:60][seen[:60]])
    assert how == "native" or np.isfinite(given[20:]).all()


def test_fills_are_what_they_say() -> None:
    values = np.arange(12.0)[:, None] ** 2
    seen = np.ones((12, 1), bool)
    seen[5:8], seen[10:] = False, False
    line, season = (as_given(values, seen, how, SEASON, False) for how in ("linear", "season"))
    np.testing.assert_allclose(line.closed[5:8, 0], 16 + np.array([12.0, 24.0, 36.0]))
    assert line.since[12] == 10 and line.held[10:, 0].tolist() == [81.0, 81.0]
    assert season.closed[5:8, 0].tolist() == [1.0, 4.0, 9.0] and season.closed[10:, 0].tolist() == [4.0, 9.0]


def test_dropped_rows_are_time_that_passes() -> None:
    """The last value of the rows that are left, and the time from it to the first lead."""
    values = np.arange(30.0)[:, None]
    seen = np.ones((30, 1), bool)
    seen[18:20] = False
    rows = as_given(values, seen, "native", SEASON, True)
    assert rows.kept.sum() == 28
    found = list(walk(_Remembers(), (), rows, [20, 22]))
    assert [apart for _, apart in found] == [3, 1] and [state[-1] for state, _ in found] == [(17.0, 1.0), (21.0, 1.0)]
    assert (20.0, 3.0) in found[1][0]


class _Remembers:
    """A model whose state is the rows it was given, each with the time since the one before."""

    def warm_up(self, state: tuple, past: object) -> tuple:  # type: ignore[type-arg]
        rows = zip(past.values[0, :, 0].tolist(), past.elapsed[0].tolist(), strict=True)  # type: ignore[attr-defined]
        return (*state, *rows)


@pytest.mark.slow
def test_the_verb_leaves_a_table_and_a_picture() -> None:
    words = ["benchmark=gaps", "benchmark.sets=[etth1]", "benchmark.kinds=[rows]", "benchmark.shares=[0.3]"]
    said = forecast("benchmark", *words, "benchmark.horizons=[24]", "benchmark.every=300", "tracking=none")
    assert said.code == 0, said.err
    made = pd.read_csv("outputs/benchmark/latest/results.csv").set_index("subject")["value"]
    assert set(made.index) == {f"lti/{how}" for how in FILLS} and (made > 0).all()
