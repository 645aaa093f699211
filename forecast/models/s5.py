"""S5: state-space layers with one set of modes for all channels.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Smith, Warrington & Linderman (2023), Simplified State Space Layers for Sequence Modeling.
"""

from forecast.models.stack import StackForecaster


class S5Forecaster(StackForecaster):
    """Two blocks of `s5`."""

    own = ("s5", "s5")
