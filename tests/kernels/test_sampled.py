"""The clock of samples in place is that of the layer."""

import numpy as np
import torch

from forecast.kernels import sampled
from forecast.layers.s4d import S4D
from forecast.layers.sampled import Sampled


def test_samples_are_due_when_the_layer_says_so() -> None:
    """Lanes that have seen nothing yet, rows of no time, and gaps among them."""
    generator, lanes, every, said = np.random.default_rng(0), 50, 3, 0
    layer, which = Sampled(S4D(1), 1, every), np.zeros(lanes, np.int64)
    count, since = np.zeros(lanes, np.int64), np.zeros(lanes)
    rows, time = torch.from_numpy(count.copy()), torch.from_numpy(since.copy())
    for _ in range(40):
        values = np.where(generator.random(lanes) < 0.3, generator.random(lanes), np.nan)
        elapsed = generator.choice([0.0, 1.0, 2.5], lanes)
        rows, time, expected = layer.clock(rows, time, torch.from_numpy(elapsed), torch.from_numpy(~np.isnan(values)))
        due = which[: sampled.due(values, elapsed, every, count, since, which)]
        assert due.tolist() == expected.nonzero()[:, 0].tolist()
        assert count.tolist() == rows.tolist() and since.tolist() == time.tolist()
        said += len(due)
    assert said > 100
