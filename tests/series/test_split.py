"""Rolling cutoffs by hand, and what they promise about the future."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.series.clock import Clock
from forecast.series.panel import Panel, panel_of
from forecast.series.protocol import InFile, LastRows, Probation, Protocol, Rows, Shares, training_scale
from forecast.series.split import cutoffs
from forecast.series.synthetic import walks

HOURLY = Clock("time", pd.Timestamp("2025-01-01"), "h")


def ragged(lengths: list[int], starts: list[int]) -> Panel:
    panel = panel_of([torch.zeros(n) for n in lengths], HOURLY)
    return replace(panel, start=torch.tensor(starts))


def test_by_end_by_hand() -> None:
    panel = walks((50, 30))
    np.testing.assert_array_equal(cutoffs(panel, 5, n=3), [[35, 15], [40, 20], [45, 25]])
    np.testing.assert_array_equal(cutoffs(panel, 5, n=2, step=1), [[44, 24], [45, 25]])


def test_by_time_by_hand() -> None:
    """Series b began 10 hours later, c ended 20 hours before the others."""
    panel = ragged([50, 40, 30], [0, 10, 0])
    np.testing.assert_array_equal(
        cutoffs(panel, 5, n=5), [[25, 15, 25], [30, 20, -1], [35, 25, -1], [40, 30, -1], [45, 35, -1]]
    )
    np.testing.assert_array_equal(cutoffs(panel, 5, n=2, by="end"), [[40, 30, 20], [45, 35, 25]])


@given(
    lengths=st.lists(st.integers(30, 60), min_size=1, max_size=4),
    horizon=st.integers(1, 6),
    n=st.integers(1, 3),
    step=st.integers(1, 5),
)
def test_by_time_every_series_stands_at_one_moment(lengths: list[int], horizon: int, n: int, step: int) -> None:
    starts = [60 - length for length in lengths]
    panel = ragged(lengths, starts)
    for ends in cutoffs(panel, horizon, n=n, step=step):
        moments = {panel.times(s)[int(end)] for s, end in enumerate(ends) if end >= 0}
        assert len(moments) == 1
        until = panel.until(moments.pop())
        assert [int(length) for length, end in zip(until.lengths, ends, strict=True) if end >= 0] == [
            int(end) for end in ends if end >= 0
        ]


def test_irregular_series_are_cut_by_time() -> None:
    stamps = torch.tensor([0, 10, 25, 40, 55, 70, 0, 12, 33, 69], dtype=torch.int64)
    panel = panel_of([torch.zeros(6), torch.zeros(4)], Clock("irregular", 0, unit=10))
    panel = replace(panel, stamps=stamps, start=stamps[[0, 6]])
    ends = cutoffs(panel, 2, n=2)
    assert ends.tolist() == [[3, 3], [5, 3]], (
        "moments 40 and 60: two and four units before the last stamp, itself included"
    )
    for row, moment in zip(ends, (40, 60), strict=True):
        for s, end in enumerate(row):
            part = stamps[int(panel.first[s]) : int(panel.first[s + 1])]
            assert (part[:end] < moment).all() and (part[end:] >= moment).all()


def test_too_few_rows_is_one_line_that_says_what_to_do() -> None:
    panel = walks((50, 20, 19))
    with pytest.raises(
        InputError,
        match=r"^5 cutoffs of horizon 4 need 21 rows: series 's1' has 20 \(and 1 more are too short\); take fewer",
    ):
        cutoffs(panel, 4, n=5)
    skipped = cutoffs(panel, 4, n=5, short="skip")
    assert skipped.tolist() == [[30, -1, -1], [34, 4, 3], [38, 8, 7], [42, 12, 11], [46, 16, 15]]
    with pytest.raises(InputError, match="need 103 rows"):
        cutoffs(panel, 4, n=1, needs=99, short="skip")
    gone = ragged([50, 10], [0, 0])
    with pytest.raises(InputError, match=r"score nothing of series 's1', 2025-01-01 00:00:00 to 2025-01-01 09:00:00"):
        cutoffs(gone, 4, n=3)
    assert (cutoffs(gone, 4, n=3, short="skip")[:, 1] == -1).all()


@pytest.mark.parametrize("word", ["horizon", "cutoffs", "step"])
def test_counts_below_one_are_refused(word: str) -> None:
    arguments = {"horizon": 2, "cutoffs": 1, "step": 1} | {word: 0}
    with pytest.raises(InputError, match=f"{word}=0 must be at least 1"):
        cutoffs(walks((20,)), arguments["horizon"], arguments["cutoffs"], arguments["step"])


def test_a_later_row_moves_no_cutoff() -> None:
    """Cutoffs depend on lengths and times alone."""
    panel = walks((50, 30))
    changed = replace(panel, values=panel.values * torch.nan)
    np.testing.assert_array_equal(cutoffs(panel, 3, n=4), cutoffs(changed, 3, n=4))


def test_borders_of_every_rule() -> None:
    lengths = torch.tensor([100, 7])
    assert [b.tolist() for b in Rows(10, 20, 30).borders(lengths[:1])] == [[10], [20], [30]]
    assert [b.tolist() for b in Rows(5, 6).borders(lengths)] == [[5, 5], [6, 6], [100, 7]]
    assert [b.tolist() for b in Shares().borders(lengths)] == [[70, 4], [80, 6], [100, 7]], (
        "int(0.7·7) = 4, int(0.2·7) = 1"
    )
    assert [b.tolist() for b in LastRows(3).borders(lengths)] == [[97, 4], [97, 4], [100, 7]]
    assert [b.tolist() for b in Probation(0.15, 10).borders(lengths)] == [[10, 1], [10, 1], [100, 7]]
    assert [b.tolist() for b in InFile((60, 2)).borders(lengths)] == [[60, 2], [60, 2], [100, 7]]


def test_protocol_cutoffs_and_their_error() -> None:
    panel = walks((100, 60))
    ends = Protocol(Shares(), step=2).cutoffs(panel, 9)
    assert ends.tolist() == [[80, 48], [82, 50], [84, -1], [86, -1], [88, -1], [90, -1]]
    with pytest.raises(InputError, match="no series has 21 test rows"):
        Protocol(Shares()).cutoffs(panel, 21)


def test_training_scale_skips_gaps_and_constant_channels() -> None:
    values = torch.tensor([[1.0, 5.0], [torch.nan, 5.0], [3.0, 5.0], [99.0, 99.0]], dtype=torch.float64)
    loc, scale = training_scale(panel_of([values]), torch.tensor([3]))
    assert loc.tolist() == [[2.0, 5.0]] and scale.tolist() == [[1.0, 1.0]]
