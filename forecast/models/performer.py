"""Performer: linear attention whose random features estimate the softmax kernel.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Choromanski et al. (2021), Rethinking Attention with Performers.
"""

from forecast.models.stack import StackForecaster


class PerformerForecaster(StackForecaster):
    """Two blocks of `performer`."""

    own = ("performer", "performer")
