"""Transformer: causal softmax attention over the last 512 samples, the quadratic reference.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Vaswani et al. (2017), Attention Is All You Need; the samples of the bank stand for patches (Nie et al. 2023, PatchTST).
"""

from forecast.models.stack import StackForecaster


class TransformerForecaster(StackForecaster):
    """Two blocks of `attention`."""

    own = ("attention", "attention")
