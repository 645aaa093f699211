"""Mamba: state-space layers whose input, output and step size depend on the row.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Gu & Dao (2023), Mamba: Linear-Time Sequence Modeling with Selective State Spaces.
"""

from forecast.models.stack import StackForecaster


class MambaForecaster(StackForecaster):
    """Two blocks of `mamba`."""

    own = ("mamba", "mamba")
