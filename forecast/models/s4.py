"""S4: state-space layers from HiPPO-LegS, normal plus low rank.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Gu, Goel & Ré (2022), Efficiently Modeling Long Sequences with Structured State Spaces.
"""

from forecast.models.stack import StackForecaster


class S4Forecaster(StackForecaster):
    """Two blocks of `s4`."""

    own = ("s4", "s4")
