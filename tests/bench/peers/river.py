"""river: detectors and forecasters of one sensor, each row scored and then learned. See speed_detect."""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from river import anomaly, compose, preprocessing, stats, time_series

case, file, rounds = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
assert case == "detect"
y = file["y"].tolist()


def forests() -> Callable[[float], float]:
    model = compose.Pipeline(
        preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=0)
    )

    def observe(value: float) -> float:
        row = {"y": value}
        score = float(model.score_one(row))
        model.learn_one(row)
        return score

    return observe


def residuals(forecast: Callable[[], float], learn: Callable[[float], object]) -> Callable[[float], float]:
    """The error of a forecast in moving deviations."""
    spread = stats.EWMean(0.01)

    def observe(value: float) -> float:
        error = abs(value - forecast())
        score = error / (spread.get() or 1.0)
        spread.update(error)
        learn(value)
        return score

    return observe


def ewma() -> Callable[[float], float]:
    mean = stats.EWMean(0.1)
    return residuals(mean.get, mean.update)


def holt_winters() -> Callable[[float], float]:
    model = time_series.HoltWinters(alpha=0.3, beta=0.1, gamma=0.5, seasonality=12)
    for value in y[:24]:
        model.learn_one(value)
    return residuals(lambda: model.forecast(horizon=1)[0], model.learn_one)


found = {}
for word, make in (("half-space trees", forests), ("EWMA", ewma), ("Holt-Winters", holt_winters)):
    spent = []
    for _ in range(rounds):
        observe = make()
        begin = time.process_time()
        for value in y:
            observe(value)
        spent.append(time.process_time() - begin)
    found[word] = 1e6 * min(spent) / len(y)
print(json.dumps({"cpu_us_per_row": found}))
