"""Models of statsmodels as ours: the same matrices, the same start."""

from typing import Any

import numpy as np
import torch
from statsmodels.tsa.statespace.exponential_smoothing import ExponentialSmoothing
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents
from torch import Tensor

from forecast.ssm import general
from forecast.ssm.belief import Belief, fresh
from forecast.ssm.program import Program


def tensor(array: Any) -> Tensor:
    return torch.tensor(np.asarray(array, dtype=float))


def ours(model: Any) -> tuple[Program, Tensor, Belief, Tensor, Tensor]:
    """Program, coefficients, start, values less their intercept, and drive of a model of statsmodels, B = 1."""
    ssm = model.ssm
    rows, size, channels = model.nobs, model.k_states, model.k_endog
    selection, noise = ssm["selection"], ssm["state_cov"]
    F, H, R = ssm["transition"], ssm["design"], ssm["obs_cov"]
    Q = selection @ noise @ selection.T if selection.ndim == 2 else None
    constant, diffuse, proper = ssm.initialization(model=ssm)[:3]
    program = general.program_of(size, channels)
    parts = [
        tensor(F)[None],
        tensor(Q)[None],
        tensor(H)[None] if H.ndim == 2 else tensor(H.transpose(2, 0, 1))[None],
        tensor(np.diag(R))[None],
    ]
    if H.ndim == 3:
        parts = [p if p.dim() == 4 else p[:, None].expand(-1, rows, *p.shape[1:]) for p in parts]
    coefs = general.coefficients(*parts)
    start = fresh(tensor(constant)[None], tensor(proper)[None], tensor(diffuse), channels)
    intercept = np.broadcast_to(ssm["obs_intercept"].reshape(channels, -1), (channels, rows))
    push = np.broadcast_to(ssm["state_intercept"].reshape(size, -1), (size, rows))
    drive = torch.zeros(1, rows, size, dtype=torch.float64)
    drive[0, 1:] = tensor(push.T)[:-1]
    return program, coefs, start, tensor(model.endog - intercept.T)[None], drive


def random_model(kind: str, seed: int) -> Any:
    """A random structural, SARIMA or ETS model with gaps, at random parameters, exact diffuse where it is diffuse."""
    rng = np.random.default_rng(seed)
    rows = 48
    y = np.cumsum(rng.normal(size=rows)) + 3 * np.sin(np.arange(rows) * 2 * np.pi / 4) + rng.normal(size=rows)
    y[4:][rng.random(rows - 4) < 0.15] = np.nan
    y[20:26] = np.nan
    if kind == "structural":
        model = _structural(y, rng)
    elif kind == "sarima":
        model = _sarima(y, rng)
    else:
        model = _ets(y, rng)
    return model


def _structural(y: np.ndarray, rng: np.random.Generator) -> Any:
    level = rng.choice(["llevel", "lltrend", "rwdrift", "strend", "dconstant"])
    model = UnobservedComponents(
        y,
        level=str(level),
        seasonal=int(rng.choice([0, 3, 4, 7])) or None,
        freq_seasonal=[{"period": 12, "harmonics": 2}] if rng.random() < 0.3 else None,
        cycle=bool(rng.random() < 0.3),
        stochastic_cycle=True,
        damped_cycle=True,
        autoregressive=1 if rng.random() < 0.2 else None,
        use_exact_diffuse=True,
    )
    values = {
        "sigma2": rng.uniform(0.1, 2.0),
        "frequency": rng.uniform(0.3, 1.2),
        "damping": rng.uniform(0.5, 0.95),
        "ar": 0.5,
    }
    params = [
        next((v if k != "sigma2" else rng.uniform(0.05, 2.0) for k, v in values.items() if k in name), 0.5)
        for name in model.param_names
    ]
    model.update(np.array(params))
    return model


def _sarima(y: np.ndarray, rng: np.random.Generator) -> Any:
    order = tuple(int(v) for v in (rng.integers(0, 3), rng.integers(0, 2), rng.integers(0, 3)))
    seasonal = (int(rng.integers(0, 2)), int(rng.integers(0, 2)), int(rng.integers(0, 2)), 4)
    model = SARIMAX(
        y, order=order, seasonal_order=seasonal, use_exact_diffuse=True, trend="c" if rng.random() < 0.3 else None
    )
    params = np.array([rng.uniform(0.5, 2.0) if "sigma2" in n else rng.uniform(-0.35, 0.35) for n in model.param_names])
    model.update(params)
    return model


def _ets(y: np.ndarray, rng: np.random.Generator) -> Any:
    trend = bool(rng.random() < 0.6)
    damped, season = trend and bool(rng.random() < 0.5), 4 if rng.random() < 0.5 else None
    model = ExponentialSmoothing(
        y, trend=trend, damped_trend=damped, seasonal=season, initialization_method="estimated", concentrate_scale=False
    )
    values = {
        "smoothing_level": 0.4,
        "smoothing_trend": 0.1,
        "smoothing_seasonal": 0.2,
        "damping_trend": 0.9,
        "sigma2": 1.3,
    }
    model.update(np.array([values.get(n, float(rng.normal())) for n in model.param_names]))
    return model
