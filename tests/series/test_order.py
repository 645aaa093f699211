"""The keyed order: a permutation for every key, shuffled, and the same under every version."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecast.series.order import permuted


@given(count=st.integers(1, 5000), seed=st.integers(0, 2**40), epoch=st.integers(0, 1000))
def test_order_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    assert sorted(permuted(np.arange(count), count, seed, epoch).tolist()) == list(range(count))


def test_order_looks_shuffled() -> None:
    """Neighbours, epochs and seeds are uncorrelated, and every place is as likely as any other (χ², 99.9 % band)."""
    count = 10_000
    orders = [permuted(np.arange(count), count, seed, epoch).astype(float) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    pairs = [(o[1:], o[:-1]) for o in orders] + [
        (orders[0], orders[1]),
        (orders[0], orders[2]),
        (orders[0], np.arange(count)),
    ]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 3.3 / np.sqrt(count) for a, b in pairs)
    firsts = np.bincount([int(permuted(np.arange(1), 10, 7, epoch)[0]) for epoch in range(500)], minlength=10)
    assert ((firsts - 50) ** 2 / 50).sum() < 27.9


def test_order_is_frozen() -> None:
    """A checkpoint made by one version must go on under the next."""
    assert permuted(np.arange(5), 1000, 42, 3).tolist() == [106, 299, 628, 422, 913]


def test_a_place_depends_on_no_other() -> None:
    whole = permuted(np.arange(777), 777, 5, 6)
    for index in ([0], [776, 3, 3], range(100, 200)):
        assert permuted(np.array(index), 777, 5, 6).tolist() == whole[list(index)].tolist()
