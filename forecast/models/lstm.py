"""LSTM: gated recurrent layers, the reference without a parallel form.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Hochreiter & Schmidhuber (1997), Long Short-Term Memory.
"""

from forecast.models.stack import StackForecaster


class LSTMForecaster(StackForecaster):
    """Two blocks of `lstm`."""

    own = ("lstm", "lstm")
