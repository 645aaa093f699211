"""The Student-t output of deep members: the laws, its density and its fit against scipy, training by likelihood, evidence of detection."""

from typing import Self

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from forecast.errors import InputError
from forecast.layers.student import LEAST, StudentHead, log_density
from forecast.models import closed_form
from forecast.models.lti import LTIForecaster
from forecast.models.stack import StackForecaster
from forecast.types import Future, Past
from tests.laws.laws import LAWS, NEEDS


class Example(StackForecaster):
    @classmethod
    def example(cls) -> Self:
        return cls(
            ("s4d",), 3, 8, output="student_t", horizon=6, seasons=(4,), channels=2, inputs=1, static=1
        )  # fmt: skip


@pytest.mark.parametrize("law", [name for name in LAWS if "save" not in name])
def test_laws(law: str) -> None:
    if law in NEEDS and NEEDS[law] not in Example.traits:
        pytest.skip(f"binds {NEEDS[law]} only")
    with torch.no_grad():
        LAWS[law](Example)


def series(rows: int = 900, df: float = 3.0, seed: int = 0) -> Tensor:
    """A cycle under noise with heavy tails."""
    generator = np.random.default_rng(seed)
    time = np.arange(rows)
    return torch.from_numpy(3 * np.sin(2 * np.pi * time / 12) + 0.5 * generator.standard_t(df, rows))[None, :, None]


def fitted(output: str = "student_t") -> LTIForecaster:
    model = LTIForecaster(output=output, horizon=6, seasons=(12,))
    closed_form.fit(model, [(Past.of(series()), torch.full((1,), 300))])
    return model


def test_the_density_is_scipys() -> None:
    y = torch.linspace(-30, 30, 41, dtype=torch.float64)
    for df, scale in ((2.5, 0.3), (7.0, 2.0), (1e4, 1.0)):
        mine = log_density(y, 1.5, torch.tensor(scale, dtype=torch.float64).log(), torch.tensor(df, dtype=torch.float64))
        assert mine.numpy() == pytest.approx(stats.t.logpdf(y.numpy(), df, 1.5, scale), rel=1e-9)


def test_widths_of_errors_are_those_of_scipys_likelihood() -> None:
    """At the degrees of freedom chosen no scale has more likelihood, and none of those tried does at its own best scale."""
    model = fitted()
    assert isinstance(model.head, StudentHead)
    phi = model.head.basis(torch.arange(1, 7))
    errors = np.random.default_rng(1).standard_t(4.0, (4000, 6)) * np.array([0.5, 1, 1, 1, 2, 2])
    model.head.fit_widths(torch.from_numpy(errors), phi)
    df = float(model.head.df)
    scale = (model.head.shape.double() @ phi.mT).exp()[0].numpy()
    best = [stats.t.fit(errors[:, h], fdf=df, floc=0)[2] for h in range(6)]
    assert scale == pytest.approx(best, rel=0.15) and 3.0 <= df <= 5.0  # the basis smooths over the leads
    spent = -stats.t.logpdf(errors, df, 0, np.array(best)).mean()
    for other in (2.5, 10.0, 100.0):
        at = [stats.t.fit(errors[:, h], fdf=other, floc=0)[2] for h in range(6)]
        assert spent < -stats.t.logpdf(errors, other, 0, np.array(at)).mean()


def test_surprise_and_quantiles_are_exact() -> None:
    model, past = fitted(), Past.of(series(seed=2))
    with torch.no_grad():
        made = model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, 6))
    loc, scale, df = (part.numpy() for part in made.parts())
    for level in (1e-6, 0.025, 0.9):
        assert made.quantile(level).numpy() == pytest.approx(stats.t.ppf(level, df, loc, scale), rel=1e-6)
    for far in (0.5, 20.0, 1e6):
        y = torch.from_numpy(loc + far * scale)
        exact = -np.log(2) - stats.t.logsf(np.full_like(loc, far), df)
        assert made.surprise(y).numpy() == pytest.approx(exact, rel=1e-6)


def test_it_covers_and_heavy_tails_cost_fewer_nats_than_quantiles_with_exponential_ones() -> None:
    past = Past.of(series(3000, seed=3))
    shares, worst = {}, {}
    for output in ("student_t", "quantiles"):
        model = fitted(output)
        with torch.no_grad():
            made, _ = model.trace(model.initial_state((), past.static), past, Future.of(past, 6), 6)
        actual = past.values.unfold(1, 6, 1).transpose(2, 3)[:, 500:]
        made = made.rebuild(*(part[:, 500 : 500 + actual.shape[1]] for part in made.parts()))
        low, high = made.interval(0.9)
        shares[output] = float(((actual >= low) & (actual <= high)).double().mean())
        worst[output] = float(made.surprise(actual).max())
    assert shares["student_t"] == pytest.approx(0.9, abs=0.03)
    assert worst["student_t"] < 0.7 * worst["quantiles"]  # of 15,000 outcomes the rarest has 9.6 nats by right


def test_training_by_likelihood_gains() -> None:
    torch.manual_seed(0)
    model = StackForecaster(("s4d",), 1, 16, 0.0, output="student_t", horizon=6, seasons=(12,))
    batch = Past.of(torch.cat([series(120, seed=s) for s in range(8)]))
    optimiser, losses = torch.optim.AdamW(model.parameters(), 1e-2), []
    for step in range(40):
        optimiser.zero_grad()
        loss = model._loss(batch, 4, step)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3
    assert isinstance(model.head, StudentHead) and float(model.head.df.detach()) > LEAST and model.head.excess.grad is not None


def test_what_is_not_there_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="unknown output 'student'; did you mean 'student_t'"):
        LTIForecaster(output="student")
