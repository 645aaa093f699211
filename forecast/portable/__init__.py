"""Trained forecasters without torch: one .npz of plain numbers, one machine in NumPy with the compiled kernels of `forecast.kernels`.

    from forecast.portable import load
    machine = load("model.npz")               # goes on from the exported states; batch=100: a hundred new series
    machine.step(values)                      # (B C), NaN where missing; then inputs (B K) and elapsed (B), if there are any
    quantiles = machine.predict(horizon=24)   # (B H C Q) at machine.levels, in the units of the data

`forecast export` writes the file (`forecast.models.exported`) of `lti`, `seasonal_lti` and the deep members, also with
`model.output=student_t`, whose quantiles it says at the same levels. It says what the torch form says to 1e-5 of the data's spread.
"""

from forecast.portable.machine import Machine, load

__all__ = ["Machine", "load"]
