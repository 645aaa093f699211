"""An autoencoder of one hidden layer, window by window:  x̂ = W₂ tanh(W₁ x + b₁) + b₂,  the same bits for one window and for many.

Shapes: x, drawn (B N W); inward (B W H), inward_bias (B H), outward (B H W), outward_bias (B W).
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]


@jit
def redraw(x: Array, inward: Array, inward_bias: Array, outward: Array, outward_bias: Array, drawn: Array) -> None:
    """Fill the windows as they are drawn again."""
    batch, number, width = x.shape
    hidden = inward.shape[2]
    inner = np.empty(hidden)
    for b in range(batch):
        for t in range(number):
            for h in range(hidden):
                inner[h] = inward_bias[b, h]
            for i in range(width):
                for h in range(hidden):
                    inner[h] += x[b, t, i] * inward[b, i, h]
            for i in range(width):
                drawn[b, t, i] = outward_bias[b, i]
            for h in range(hidden):
                level = np.tanh(inner[h])
                for i in range(width):
                    drawn[b, t, i] += level * outward[b, h, i]
