"""The linear time-invariant forecaster: an oscillator bank and a linear map, fitted in closed form; nothing is trained by gradients.

The frame is that of `forecast.models.stack` without blocks: what every deep member has to beat on the validation rows.
"""

from forecast.models.stack import StackForecaster


class LTIForecaster(StackForecaster):
    """No blocks."""

    own = ()
