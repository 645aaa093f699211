"""Reference results that statsmodels' wheel carries: GAUSS (Kim & Nelson), FKF and KFAS in R, Stata."""

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
    assert float(whole) == pytest.approx(true["loglike"], abs=0.5)  # as many digits as statsmodels itself compares
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
