"""Weights of known inputs in closed form: against least squares by hand, found again where they are known, none where they say nothing."""

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.layers.known import KnownInputs
from forecast.layers.scale import whole_spread
from forecast.models import closed_form
from forecast.models.lti import LTIForecaster
from forecast.types import Future, Past
from tests.models.test_closed_form import last_value

ROWS, HORIZON = 600, 12


def driven(weight: float, bent: float = 0.0, seed: int = 0) -> Past:
    """A daily cycle with noise, moved by an input that has no memory; two inputs more that say nothing."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(ROWS, dtype=torch.float64)
    u = torch.randn(ROWS, 3, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 100.0, 1.0]) + torch.tensor(
        [0.0, 1000.0, 5.0]
    )
    noise = 0.1 * torch.randn(ROWS, generator=generator, dtype=torch.float64)
    u[:, 2] = 5.0  # never changes
    y = torch.sin(2 * torch.pi * time / 24) + noise + weight * u[:, 0] + bent * u[:, 0].square()
    return Past(
        y[None, :, None], u[None], torch.ones(1, ROWS, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64)
    )


def fitted(past: Past) -> LTIForecaster:
    model = LTIForecaster(horizon=HORIZON, seasons=(24,), inputs=past.inputs.shape[2])
    closed_form.fit(model, [(past.rows(0, 500), torch.tensor([100]))])
    return model


def error(model: LTIForecaster, past: Past) -> float:
    """Mean absolute error of the forecasts after rows 500 to 588."""
    with torch.no_grad():
        state = model.warm_up(model.initial_state((), past.static), past.rows(0, 500))
        some = past.rows(500, ROWS - HORIZON)
        future = Future(past.inputs[:, ROWS - HORIZON :], past.elapsed[:, ROWS - HORIZON :])
        made, _ = model.trace(state, some, future, HORIZON)
    actual = past.values[:, 500:].unfold(1, HORIZON, 1)[:, : ROWS - HORIZON - 500].transpose(2, 3)
    return float((made.median - actual).abs().mean())


def blind(past: Past) -> float:
    """The error without the inputs."""
    seen = past._replace(inputs=past.inputs[..., :0])
    return error(fitted(seen), seen)


@pytest.mark.parametrize(("weight", "bent"), [(1.0, 0.0), (0.0, 1.0)])
def test_an_input_that_drives_the_series_is_used(weight: float, bent: float) -> None:
    """Straight, or by its square."""
    past = driven(weight, bent)
    assert error(fitted(past), past) < 0.6 * blind(past)


def test_units_of_the_inputs_do_not_matter() -> None:
    """Scaled and shifted inputs give the same forecasts."""
    past = driven(1.0)
    moved = past._replace(inputs=past.inputs * torch.tensor([1e4, 1e-6, 3.0]) + torch.tensor([-7.0, 1e5, 0.0]))
    assert error(fitted(moved), moved) == pytest.approx(error(fitted(past), past), rel=1e-3)


def test_inputs_that_say_nothing_cost_little() -> None:
    past = driven(0.0)
    assert error(fitted(past), past) <= 1.05 * blind(past)


def test_the_weights_are_those_of_joint_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """One penalty each: features and inputs side by side in NumPy's lstsq, the rows of the penalties below them."""
    monkeypatch.setattr(closed_form, "PENALTIES", (0.1,))
    monkeypatch.setattr(closed_form, "EFFECTS", (0.01,))
    past = driven(1.0)
    model = fitted(past)
    assert bool(model.head.effect.any())
    with torch.no_grad():
        rows, units, moments = model.linear_features(past.rows(0, 500))
    whole, head = float(whole_spread(moments)), model.head
    phi = head.basis(torch.arange(1, HORIZON + 1)).numpy() / HORIZON
    f = rows[0, :, 0].double().numpy()  # already in units of their spread
    made = np.arange(125, 500 - HORIZON)
    made = made[made + HORIZON < 400]
    loc, spread = units.loc[0, :, 0].numpy(), units.spread[0, :, 0].numpy()
    y, v = past.values[0, :, 0].numpy(), head.known(past.inputs[0]).numpy()
    weight = np.minimum(spread[made] / whole, 3.0)
    share = np.sqrt(weight / weight.sum())
    size, count, inputs = phi.shape[1], f.shape[1], v.shape[1]
    lines, right = [], []
    for t, root in zip(made, share, strict=True):
        z = phi.T @ ((y[t + 1 : t + 1 + HORIZON] - loc[t]) / spread[t])
        lines.append(root * np.hstack([np.kron(f[t], np.eye(size)), phi.T @ v[t + 1 : t + 1 + HORIZON]]))
        right.append(root * z)
    x, z = np.vstack(lines), np.concatenate(right)
    gram = x.T @ x
    mean = np.trace(gram[: count * size, : count * size]) / (count * size)
    own = np.trace(gram[count * size :, count * size :]) / inputs
    penalty = np.append(np.full(count * size, 0.1 * mean), np.full(inputs, 0.01 * own))
    for prior in (np.zeros((count, size)), last_value(model)):
        start = np.append(prior.ravel(), np.zeros(inputs))
        by_hand = np.linalg.solve(gram + np.diag(penalty), x.T @ z + penalty * start)
        if np.abs(by_hand[: count * size].reshape(count, size) - head.weight[0].numpy()).max() <= 1e-3:
            assert by_hand[count * size :] == pytest.approx(head.effect[0].numpy(), abs=1e-3)
            return
    raise AssertionError("neither prior gives the weights found")


def test_products_weighed_without_laying_them_out() -> None:
    known, generator = KnownInputs(4), torch.Generator().manual_seed(0)
    inputs: Tensor = torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, known.size, generator=generator, dtype=torch.float64)
    by_hand = torch.einsum("bchk,ck->bch", known(inputs), weight)
    assert torch.allclose(known.weighed(weight, known.standardise(inputs)), by_hand, rtol=1e-12, atol=1e-12)
