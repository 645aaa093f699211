"""S4D: diagonal state-space layers, every channel through its own damped oscillators, learned.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Gu, Gupta, Goel & Ré (2022), On the Parameterization and Initialization of Diagonal State Space Models.
"""

from forecast.models.stack import StackForecaster


class S4DForecaster(StackForecaster):
    """Two blocks of `s4d`."""

    own = ("s4d", "s4d")
