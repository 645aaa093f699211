"""What a missing value is taken for: worked by hand, whatever the rows come as, and no nearer to nothing than the season is."""

import math

import numpy as np
import pytest
import torch

from forecast.kernels import fill
from forecast.layers.bank import Bank, BankState
from forecast.types import leaves

S, BEND = 4, (0.25, 16.0)


def filled(value: "list[float]", elapsed: "list[float] | None" = None, bend: "tuple[float, float]" = BEND) -> "list[float]":
    rows = np.array([value])
    apart = np.ones((1, len(value))) if elapsed is None else np.array([elapsed])
    slots = S if bend[0] else 1
    fill.fill(rows, apart, bend, np.zeros(1), np.zeros(1), np.full(1, -1.0), np.zeros((1, slots)))
    found: list[float] = rows[0].tolist()
    return found


def test_the_usual_course_and_a_fading_rest() -> None:
    nan = math.nan
    first, second = [1.0, 2.0, 3.0, 4.0], [1.5, 2.5]
    made = filled([*first, *second, nan, nan])
    # after the first season the course is what it was; row 5 lay 0.5 above it
    assert made[6:] == pytest.approx([3 + 0.5 * math.exp(-1 / 16), 4 + 0.5 * math.exp(-2 / 16)])
    again = filled([*first, *second, nan, nan, nan])
    assert again[8] == pytest.approx(1.25 + 0.5 * math.exp(-3 / 16)), "the course took half of the second season"


def test_nothing_before_the_first_value_and_no_row_that_takes_no_time() -> None:
    nan = math.nan
    assert filled([nan, nan, 5.0])[:2] == [0.0, 0.0]
    made = filled([nan, 1.0, nan, 2.0, nan], [3.0, 1.0, 0.0, 1.0, 1.0])
    assert made[2] == 0.0 and made[4] == filled([1.0, 2.0, nan])[2]


def test_without_a_season_the_last_value_fades() -> None:
    made = filled([2.0, 3.0, math.nan, math.nan], bend=(0.0, 3.0))
    assert made[2:] == pytest.approx([3 * math.exp(-1 / 3), 3 * math.exp(-2 / 3)])


def test_a_course_that_repeats_is_filled_with_itself() -> None:
    course = np.tile([1.0, -2.0, 0.5, 3.0], 20)
    gone = course.copy()
    gone[40:58] = math.nan
    assert filled(gone.tolist()) == pytest.approx(course.tolist())


def test_rows_between_are_one_unit_apart_and_end_at_the_row() -> None:
    count, first = fill.between(np.array([0.0, 0.4, 1.0, 1.4, 1.6, 3.0, 500.0]), 96)
    assert count.tolist() == [0, 0, 0, 0, 1, 2, 96]
    np.testing.assert_allclose(first, [0.0, 0.4, 1.0, 1.4, 0.6, 1.0, 404.0])


def test_dropped_rows_are_missing_rows() -> None:
    """What the bank says of rows that are left, three of four dropped: that of all rows, those missing; bit for bit."""
    torch.manual_seed(0)
    bank = Bank((6,)).double()
    value = torch.randn(2, 80, 1, dtype=torch.float64)
    seen = torch.rand(2, 80) < 0.3
    seen[:, 0] = True
    kept = [seen[b].nonzero()[:, 0] for b in range(2)]
    with torch.no_grad():
        whole, _ = bank(value, bank.initial_state(2), torch.ones(2, 80), seen)
        for b in range(2):
            rows = value[b : b + 1, kept[b]]
            elapsed = torch.diff(kept[b], prepend=torch.tensor([-1])).double()[None]
            few, after = bank(rows, bank.initial_state(1), elapsed, torch.ones(1, len(kept[b]), dtype=torch.bool))
            assert torch.equal(few[0], whole[b, kept[b]])
            assert isinstance(after, BankState)


def test_pieces_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A past on an irregular clock is laid out piece by piece."""
    torch.manual_seed(0)
    bank = Bank((6,)).double()
    value, elapsed = torch.randn(2, 50, 1, dtype=torch.float64), 5 * torch.rand(2, 50, dtype=torch.float64)
    seen = torch.rand(2, 50) < 0.7
    with torch.no_grad():
        whole = bank(value, bank.initial_state(2), elapsed, seen)
        monkeypatch.setattr("forecast.layers.bank.LAID_OUT", 17)
        pieces = bank(value, bank.initial_state(2), elapsed, seen)
    assert all(torch.equal(a, b) for a, b in zip(leaves(whole), leaves(pieces), strict=True))
