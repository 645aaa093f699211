"""The hybrid: state-space layers with windowed softmax attention between them, on the states of an oscillator bank.

The frame is that of `forecast.models.stack`. One attention block among state-space ones, second to last: the state-space layers
carry what lies far back, attention compares the last 64 samples with one another.
Sources: Lieber et al. (2024) Jamba and Ren et al. (2024) Samba for the mixture.
"""

from forecast.models.stack import StackForecaster


class HybridForecaster(StackForecaster):
    """S4D, window attention, S4D."""

    own = ("s4d", "window_attention", "s4d")
