"""Linear attention: causal attention with elu + 1 for a kernel, sums of keys and values for a state.

The frame is that of `forecast.models.stack`: bank, linear part in closed form, and two of these blocks on every P-th row.
Source: Katharopoulos et al. (2020), Transformers are RNNs.
"""

from forecast.models.stack import StackForecaster


class LinearAttentionForecaster(StackForecaster):
    """Two blocks of `linear_attention`."""

    own = ("linear_attention", "linear_attention")
