"""Reference results that statsmodels' wheel carries: GAUSS (Kim & Nelson), FKF and KFAS in R, Stata."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from statsmodels.tsa.statespace import tests as theirs
from torch import Tensor

from forecast.ssm import dense, general, kalman
from forecast.ssm.belief import Belief, fresh
from forecast.ssm.fit import minimise
from forecast.ssm.smoother import smooth
from tests.ssm.oracle import tensor

RESULTS = Path(str(theirs.__file__)).parent / "results"
pytestmark = pytest.mark.skipif(not RESULTS.is_dir(), reason="this build of statsmodels carries no reference results")
D = torch.float64


def start(F: Tensor, first: Tensor, diffuse: Tensor | None = None, channels: int = 1) -> Belief:
    m = F.shape[0]
    spread = torch.zeros(m, m, dtype=D) if diffuse is None else diffuse
    return fresh(torch.zeros(1, m, dtype=D), first[None], spread, channels)


def filtered(
    F: Tensor, Q: Tensor, H: Tensor, R: Tensor, belief: Belief, values: Tensor
) -> tuple[Tensor, Tensor, dense.Trail]:
    """Filtered means (T m), the likelihood of both engines, and the trail."""
    channels, m = H.shape
    program, coefs = general.program_of(m, channels), general.coefficients(F[None], Q[None], H[None], R[None])
    trail: dense.Trail = []
    loglik = dense.filter_rows(program, coefs, belief, values[None], values.new_zeros(1, 0, m), 0.0, False, trail)[1]
    compiled = kalman.loglik(program, coefs, belief, values[None], engine="numba")
    torch.testing.assert_close(compiled, loglik, rtol=1e-10, atol=0)
    return torch.cat([step.filtered[0] for step in trail]), loglik, trail


def kim_nelson(name: str) -> dict:  # type: ignore[type-arg]
    from statsmodels.tsa.statespace.tests.results import results_kalman_filter

    return dict(getattr(results_kalman_filter, name))


def test_clark_1987_output() -> None:
    """Univariate unobserved components of real GDP: GAUSS states to 4 digits, likelihood from row 20 on to 5."""
    true = kim_nelson("uc_uni")
    v, e, w, phi1, phi2 = true["parameters"]
    F = tensor([[1, 0, 0, 1], [0, phi1, phi2, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    Q = torch.diag(tensor([v**2, e**2, 0, w**2]))
    values = tensor(np.log(true["data"]))[:, None]
    belief = start(F, F @ (100 * torch.eye(4, dtype=D)) @ F.T)
    means, whole, _ = filtered(F, Q, tensor([[1, 1, 0, 0]]), torch.zeros(1, dtype=D), belief, values)
    _, head, _ = filtered(F, Q, tensor([[1, 1, 0, 0]]), torch.zeros(1, dtype=D), belief, values[: true["start"]])
    assert float(whole - head) == pytest.approx(true["loglike"], abs=5e-6)
    assert np.abs(means[true["start"] :, [0, 1, 3]].numpy() - np.array(true["states"])).max() < 1.5e-4


def test_clark_1989_output_and_unemployment() -> None:
    """Two channels; states by GAUSS, likelihood by the R package FKF."""
    true = kim_nelson("uc_bi")
    v, e, w, vl, ec, phi1, phi2, a1, a2, a3 = true["parameters"]
    F = torch.zeros(6, 6, dtype=D)
    F[[0, 0, 2, 3, 4, 5], [0, 4, 1, 2, 4, 5]] = 1.0
    F[1, 1], F[1, 2] = phi1, phi2
    H = tensor([[1, 1, 0, 0, 0, 0], [0, a1, a2, a3, 0, 1]])
    Q, R = torch.diag(tensor([v**2, e**2, 0, 0, w**2, vl**2])), tensor([0, ec**2])
    data = np.array(true["data"], float)[4:]
    values = tensor(np.column_stack([np.log(data[:, 0]), data[:, 1] / 100]))
    means, whole, _ = filtered(F, Q, H, R, start(F, F @ (100 * torch.eye(6, dtype=D)) @ F.T, channels=2), values)
    assert float(whole) == pytest.approx(true["loglike"], abs=5e-5)
    states = np.array(true["states"])
    assert np.abs(means[true["start"] :, [0, 1, 4, 5]].numpy() - states[:, :4]).max() < 1.5e-4


@pytest.mark.parametrize("name", ["local_level", "local_linear_trend", "local_linear_trend_missing"])
def test_exact_diffuse_start_is_that_of_kfas(name: str) -> None:
    """R's KFAS 1.3.1: it leaves -½ log 2π out for each diffuse observation."""
    table = pd.read_csv(RESULTS / f"results_exact_initial_{name}_R.csv")
    y = np.r_[10.2394, [1.0] * 9] if name == "local_level" else np.r_[10.2394, 4.2039, 6.123123, [1.0] * 7]
    if name.endswith("missing"):
        y[1] = np.nan
    m = 1 if name == "local_level" else 2
    F = torch.ones(1, 1, dtype=D) if m == 1 else tensor([[1, 1], [0, 1]])
    Q, H, R = torch.diag(tensor([8.253, 2.334][:m])), torch.eye(1, m, dtype=D), tensor([1.993])
    belief = start(F, torch.zeros(m, m, dtype=D), torch.eye(m, dtype=D))
    means, whole, trail = filtered(F, Q, H, R, belief, tensor(y)[:, None])
    assert float(whole) + 0.5 * m * np.log(2 * np.pi) == pytest.approx(table["llf"][0], abs=1e-8)
    columns = [[f"{kind}_{i + 1}" for i in range(m)] for kind in ("a", "att", "alphahat", "etahat")]
    a, att, alphahat, etahat = [table[c].to_numpy()[:10] for c in columns]
    np.testing.assert_allclose(torch.cat([step.mean for step in trail]).numpy(), a, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(means.numpy(), att, rtol=1e-8, atol=1e-8)
    program, coefs = general.program_of(m, 1), general.coefficients(F[None], Q[None], H[None], R[None])
    made = smooth(program, coefs, belief, tensor(y)[None, :, None])
    np.testing.assert_allclose(made.mean[0].numpy(), alphahat, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(made.covariance[0].sum((1, 2)).numpy(), table["sumV"].to_numpy()[:10], rtol=1e-7)
    np.testing.assert_allclose(made.process_noise[0, 1:].numpy(), etahat[:-1], rtol=1e-7, atol=1e-8)
    seen = np.isfinite(y)
    np.testing.assert_allclose(
        made.observation_noise[0, :, 0].numpy()[seen], table["epshat_1"].to_numpy()[:10][seen], rtol=1e-7, atol=1e-8
    )


COMMON = [0.1111, 3.2324]  # loading and variance of the common level


def two_channels(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor, np.ndarray]:
    """F, Q, H, R and values (T 2) of KFAS's multivariate examples."""
    if name.startswith("common_level"):
        load, variance = COMMON
        y = np.column_stack([np.r_[first, [1.0] * 9] for first in (10.2394, 8.2304)])
        if name.endswith("restricted"):
            return tensor([[1]]), tensor([[variance]]), tensor([[1], [load]]), torch.ones(2, dtype=D), y
        return torch.eye(2, dtype=D), torch.diag(tensor([variance, 0])), tensor([[1, 0], [load, 1]]), torch.ones(2, dtype=D), y
    table = sm.datasets.macrodata.load_pandas().data
    y = np.diff(np.log(table[["realgdp", "realcons"]].to_numpy()[:21]), axis=0) * 400
    if name == "var1_missing":
        y[:5, 0], y[8:12] = np.nan, np.nan
    R = tensor([4, 5]) if name == "var1_measurement_error" else torch.zeros(2, dtype=D)
    return tensor([[0.5, 0.3], [0.2, 0.4]]), torch.diag(tensor([2, 3])), torch.eye(2, dtype=D), R, y


@pytest.mark.parametrize(
    "name", ["common_level", "common_level_restricted", "var1", "var1_measurement_error", "var1_missing"]
)
def test_exact_diffuse_start_of_two_channels_is_that_of_kfas(name: str) -> None:
    """A common level, and vector autoregressions with and without measurement errors: filtered and smoothed states."""
    F, Q, H, R, y = two_channels(name)
    table, m = pd.read_csv(RESULTS / f"results_exact_initial_{name}_R.csv")[: len(y)], len(F)
    belief = start(F, torch.zeros(m, m, dtype=D), torch.eye(m, dtype=D), channels=2)
    means, whole, trail = filtered(F, Q, H, R, belief, tensor(y))
    diffuse = sum(float(update.diffuse) for step in trail for update in step.updates)
    assert diffuse == m
    assert float(whole) + 0.5 * m * np.log(2 * np.pi) == pytest.approx(table["llf"][0], abs=1e-8)
    a, att, alphahat = [table[[f"{kind}_{i + 1}" for i in range(m)]].to_numpy() for kind in ("a", "att", "alphahat")]
    close = dict(rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(torch.cat([step.mean for step in trail]).numpy()[1:], a[1:], **close)
    np.testing.assert_allclose(means.numpy()[1:], att[1:], **close)
    program, coefs = general.program_of(m, 2), general.coefficients(F[None], Q[None], H[None], R[None])
    made = smooth(program, coefs, belief, tensor(y)[None])
    kept = slice(int(name.endswith("restricted")), None)
    if name.endswith("restricted"):  # there KFAS says 20.08 of the first state, generalised least squares 9.06
        rows = np.arange(len(y))
        Z = np.kron(np.eye(len(y)), H.numpy())
        inverse = np.linalg.inv(COMMON[1] * Z @ np.minimum(rows[:, None], rows) @ Z.T + np.eye(2 * len(y)))
        reads = Z.sum(1)
        assert float(made.mean[0, 0, 0]) == pytest.approx(reads @ inverse @ y.ravel() / (reads @ inverse @ reads), rel=1e-9)
    np.testing.assert_allclose(made.mean[0].numpy()[kept], alphahat[kept], **close)
    total = table[[f"V_{i + 1}" for i in range(4)]].sum(axis=1) if "V_1" in table else table["sumV"]
    np.testing.assert_allclose(made.covariance[0].sum((1, 2)).numpy(), total.to_numpy(), rtol=1e-6, atol=1e-8)


def clark_1987(theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """F, Q, H, R of level, slope and a cycle of two lags."""
    v, e, w, phi1, phi2 = theta
    o = torch.zeros_like(v)
    F = torch.stack([torch.stack(row) for row in ([o + 1, o, o, o + 1], [o, phi1, phi2, o], [o, o + 1, o, o], [o, o, o, o + 1])])
    return F, torch.stack([v**2, e**2, o, w**2]).diag(), tensor([[1, 1, 0, 0]]), torch.zeros(1, dtype=D)


def clark_1989(theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """F, Q, H, R of output and unemployment: a common cycle, two levels and a slope."""
    v, e, w, vl, ec, phi1, phi2, a1, a2, a3 = theta
    o = torch.zeros_like(v)
    i = o + 1
    rows = [i, o, o, o, i, o], [o, phi1, phi2, o, o, o], [o, i, o, o, o, o], [o, o, i, o, o, o], [o, o, o, o, i, o], [o, o, o, o, o, i]
    H = torch.stack([torch.stack([i, i, o, o, o, o]), torch.stack([o, a1, a2, a3, o, i])])
    F, Q = torch.stack([torch.stack(row) for row in rows]), torch.stack([v**2, e**2, o, o, w**2, vl**2]).diag()
    return F, Q, H, torch.stack([o, ec**2])


@pytest.mark.parametrize(("name", "make"), [("uc_uni", clark_1987), ("uc_bi", clark_1989)])
def test_a_fit_ends_where_that_of_gauss_did(name: str, make: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
    """From parameters a third larger the climb comes back to Kim and Nelson's; they count the likelihood from a later row on."""
    true = kim_nelson(name)
    known = tensor(list(true["parameters"]))
    if name == "uc_uni":
        values = tensor(np.log(true["data"]))[:, None]
    else:
        data = np.array(true["data"], float)[4:]
        values = tensor(np.column_stack([np.log(data[:, 0]), data[:, 1] / 100]))
    first = make(known)[0]
    m, channels = len(first), values.shape[1]
    before = start(first, first @ (100 * torch.eye(m, dtype=D)) @ first.T, channels=channels)
    program = general.program_of(m, channels)

    def value(theta: Tensor) -> Tensor:
        coefs = general.coefficients(*[part[None] for part in make(theta)])
        parts = [kalman.loglik(program, coefs, before, values[None, :rows]) for rows in (len(values), true["start"])]
        return (parts[0] - parts[1])[0]

    def objective(x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            found = -torch.stack([value(one * known) for one in x]) / len(values)
            (slope,) = torch.autograd.grad(found.sum(), x)
        return found.detach(), slope

    wide = torch.full_like(known, 30.0)
    end = minimise(objective, torch.full_like(known, 1.3)[None], -wide, wide, 200, 1e-12)
    most, stated = float(-end.value * len(values)), float(value(known))
    if name == "uc_uni":
        assert most == pytest.approx(true["loglike"], abs=1e-6)
        np.testing.assert_allclose((end.x[0].abs() * known.abs()).numpy(), known.abs().numpy(), rtol=1e-4, atol=5e-7)
    assert stated <= most + 1e-9 and most < stated + 0.01, "their parameters are as good but for rounding"
    np.testing.assert_allclose(end.x[0].abs().numpy(), 1.0, atol=0.04)


def test_real_gdp_autoregression_of_stata() -> None:
    """AR(12) of the growth of real GDP in companion form: filtered states to 1e-6, standardised errors to 1e-3."""
    table = pd.read_csv(RESULTS / "results_realgdpar_stata.csv")
    growth = np.log(table["value"]).diff()[1:].to_numpy()
    phi = [0.40725515, 0.18782621, -0.01514009, -0.01027267, -0.03642297, 0.11576416]
    phi += [0.02573029, -0.00766572, 0.13506498, 0.08649569, 0.06942822, -0.10685783]
    F = torch.zeros(12, 12, dtype=D)
    F[0], F[range(1, 12), range(11)] = tensor(phi), 1.0
    Q = torch.zeros(12, 12, dtype=D)
    Q[0, 0] = 0.00007999607
    first, grown = Q, F
    for _ in range(12):  # doubling: P ← P + A P A', A ← A A
        first, grown = first + grown @ first @ grown.T, grown @ grown
    H, R = torch.eye(1, 12, dtype=D), torch.zeros(1, dtype=D)
    means, _, trail = filtered(F, Q, H, R, start(F, first), tensor(growth)[:, None])
    np.testing.assert_allclose(means.numpy(), table[[f"u{i}" for i in range(1, 13)]].to_numpy()[1:], atol=1e-6)
    errors = [float(u.v / u.F.sqrt()) for step in trail for u in step.updates]
    np.testing.assert_allclose(errors, table["rstd"].to_numpy()[1:], atol=1e-3)


def test_smoothing_with_missing_channels_is_that_of_kfas() -> None:
    table = pd.read_csv(RESULTS / "results_smoothing_R.csv")
    y = np.diff(sm.datasets.macrodata.load_pandas().data[["realgdp", "realcons", "realinv"]].to_numpy(), axis=0)
    for rows, channel in (
        (slice(0, 50), 0),
        (slice(19, 70), 1),
        (slice(39, 90), 2),
        (slice(119, 130), 0),
        (slice(119, 130), 2),
    ):
        y[rows, channel] = np.nan
    one = torch.eye(3, dtype=D)
    belief = start(one, 1e6 * one, channels=3)
    _, whole, _ = filtered(one, one, one, torch.ones(3, dtype=D), belief, tensor(y))
    assert float(whole) == pytest.approx(-205310.9767, abs=1e-4)
    program, coefs = (
        general.program_of(3, 3),
        general.coefficients(one[None], one[None], one[None], torch.ones(1, 3, dtype=D)),
    )
    made = smooth(program, coefs, belief, tensor(y)[None])
    np.testing.assert_allclose(
        made.mean[0].numpy(), table[["alphahat1", "alphahat2", "alphahat3"]].to_numpy(), rtol=1e-7
    )
    np.testing.assert_allclose(torch.linalg.det(made.covariance[0]).numpy(), table["detV"].to_numpy(), rtol=1e-6)
    eta = table[["etahat1", "etahat2", "etahat3"]].to_numpy()
    np.testing.assert_allclose(made.process_noise[0, 1:].numpy(), eta[:-1], rtol=1e-6, atol=1e-8)
    epsilon, seen = table[["epshat1", "epshat2", "epshat3"]].to_numpy(), np.isfinite(y)
    np.testing.assert_allclose(made.observation_noise[0].numpy()[seen], epsilon[seen], rtol=1e-6, atol=1e-8)
