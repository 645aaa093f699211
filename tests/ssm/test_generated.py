"""Law 7 on the engine: series simulated at known parameters by the matrices of a model are covered at every lead.

2,000 series of a model start from a draw of its prior (what is diffuse from a wide one), are filtered from the exact diffuse start at
the same parameters, and forecast: 90 % intervals cover inside the 99.9 % binomial band at each of twelve leads.
"""

import math

import pytest
import torch

from forecast.ssm.arima import Arima
from forecast.ssm.belief import unpack
from forecast.ssm.cycle import Cycle
from forecast.ssm.kalman import advance, ahead
from forecast.ssm.program import matrices
from forecast.ssm.season import Season
from forecast.ssm.structural import DRIFT, MEAN, Structural

D = torch.float64
SERIES, ROWS, LEADS = 2000, 60, 12

MODELS = {
    "a season that walks and grows by a constant": Structural(MEAN, (Season(6, walk=True, growth=1),), memory=True),
    "a season that walks and grows by harmonics": Structural(MEAN, (Season(8, walk=True, growth=5),), memory=True),
    "a season that walks": Structural(MEAN, (Season(6, walk=True),)),
    "two trigonometric seasons and a memory": Structural("damped", (Season(6, 2, 900.0), Season(14, 3, 900.0)), memory=True),
    "a season, a cycle and a memory": Structural("damped", (Season(4),), memory=True, cycle=Cycle(5.0, 40.0)),
    "a drift": Structural(DRIFT, (Season(4),)),
    "SARIMA with a mean of its differences": Arima((1, 1, 1), (0, 1, 1), 4, constant="free"),
    "ARMA with a mean": Arima((2, 0, 1), constant="free"),
    "ARIMA without a mean": Arima((0, 2, 1), constant="none"),
}


@pytest.mark.parametrize("word", MODELS)
def test_intervals_cover_what_the_model_generates(word: str) -> None:
    model, generator = MODELS[word], torch.Generator().manual_seed(7)
    theta = model.starts(1, torch.zeros(1, 1, dtype=D))[0].expand(SERIES, -1).clone()
    theta[:, -1] = 0.4  # a memory, a constant or a last lag that matters
    coefs, belief = model.coefficients(theta), model.start(SERIES, theta, theta)
    F, Q, H, R = (part[0] for part in matrices(model.program, coefs[:1]))
    start = unpack(belief.covariance)[0] + 25.0 * unpack(belief.diffuse)[0]

    def draw(covariance: torch.Tensor) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(covariance)
        unit = torch.randn(SERIES, len(values), dtype=D, generator=generator)
        return (unit * values.clamp(min=0).sqrt()) @ vectors.T

    x, rows = belief.mean + draw(start), []
    for _ in range(ROWS + LEADS):
        rows.append((x @ H.T)[:, 0] + R[0].sqrt() * torch.randn(SERIES, dtype=D, generator=generator))
        x = x @ F.T + draw(Q)
    y = torch.stack(rows, 1)
    done = advance(model.program, coefs, belief, y[:, :ROWS, None])
    mean, variance = ahead(model.program, coefs, done.belief, LEADS)
    inside = (y[:, ROWS:] - mean[..., 0]).abs() <= 1.6448536269514722 * variance[..., 0].sqrt()
    covered, band = inside.to(D).mean(0), 3.29 * math.sqrt(0.09 / SERIES)
    assert bool(((covered - 0.9).abs() <= band).all()), f"{word}: {covered.tolist()}, band {band:.3f}"
