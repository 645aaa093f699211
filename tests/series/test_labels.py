"""Labels against rows marked by hand."""

import itertools
from dataclasses import replace

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecast.series.clock import Clock
from forecast.series.labels import Labels, runs
from forecast.series.panel import Panel, panel_of

HOURLY = Clock("time", pd.Timestamp("2025-03-01"), "h")


def two_series() -> Panel:
    return replace(panel_of({"a": torch.zeros(6), "b": torch.zeros(5)}, HOURLY), start=torch.tensor([0, 2]))


@given(flags=st.lists(st.booleans(), max_size=30))
def test_runs_cover_the_flags_and_nothing_else(flags: list[bool]) -> None:
    found = runs(flags)
    assert [i for low, high in found for i in range(low, high)] == [i for i, flag in enumerate(flags) if flag]
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(found))


@given(flags=st.lists(st.booleans(), min_size=11, max_size=11))
def test_rows_to_labels_and_back(flags: list[bool]) -> None:
    panel, marked = two_series(), torch.tensor(flags)
    assert torch.equal(Labels.of_rows(panel, marked).rows(panel), marked)


def test_both_ends_belong_to_a_span() -> None:
    labels = Labels.of([("b", pd.Timestamp("2025-03-01 03:00"), pd.Timestamp("2025-03-01 04:00"), "spike", ("y",))])
    assert labels.rows(two_series()).nonzero().flatten().tolist() == [7, 8]
    assert list(labels.spans(two_series())) == [(0, 1, 1, 3)]


def test_a_span_between_two_rows_marks_none_and_one_beyond_the_end_is_cut() -> None:
    between = Labels.of([("a", pd.Timestamp("2025-03-01 00:10"), pd.Timestamp("2025-03-01 00:50"), "", ())])
    assert not between.rows(two_series()).any()
    beyond = Labels.of([("a", pd.Timestamp("2025-03-01 05:00"), pd.Timestamp("2025-03-09"), "", ())])
    assert beyond.rows(two_series()).nonzero().flatten().tolist() == [5]


def test_integer_clocks_and_other_series() -> None:
    panel = panel_of({"a": torch.zeros(6)}, Clock("integer", 10, 5))
    labels = Labels.of([("a", 15, 20, "x", ()), ("gone", 15, 20, "x", ()), ("a", 35, 35, "y", ())])
    assert labels.rows(panel).tolist() == [False, True, True, False, False, True]
    assert len(labels.within(panel)) == 2 and labels.of_kind("y").start == (35,)


def test_zone_of_the_clock() -> None:
    berlin = replace(two_series(), clock=replace(HOURLY, timezone="Europe/Berlin"))
    labels = Labels.of_rows(berlin, torch.arange(11) == 3)
    assert labels.start == (pd.Timestamp("2025-03-01 04:00", tz="Europe/Berlin"),)


def test_frame() -> None:
    frame = Labels.of([("a", 1, 2, "leak", ("flow", "pressure"))]).frame()
    assert frame.to_dict("records") == [
        {"unique_id": "a", "start": 1, "end": 2, "kind": "leak", "channels": "flow pressure"}
    ]
    assert list(Labels.of([]).frame().columns) == ["unique_id", "start", "end", "kind", "channels"]


def test_no_labels() -> None:
    assert len(Labels.of([])) == 0 and not Labels.of([]).rows(two_series()).any()
    with pytest.raises(IndexError):
        Labels.of([]).start[0]
