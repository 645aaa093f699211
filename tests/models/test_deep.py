"""The laws of deep members over the layers that no member is made of, and that every layer learns."""

from typing import Self

import pytest
import torch

from forecast.layers.blocks import LAYERS
from forecast.models.stack import StackForecaster
from forecast.types import Future, Past
from tests.laws.laws import LAWS, NEEDS


def member(*words: str) -> type[StackForecaster]:
    """A class whose example is a stack of these blocks."""

    class Example(StackForecaster):
        @classmethod
        def example(cls) -> Self:
            return cls(blocks=words, every=3, width=8, horizon=6, seasons=(4,), channels=2, inputs=1, static=1)

    return Example


OWN = {"attention", "linear_attention", "lstm", "mamba", "performer", "s4", "s4d", "s5"}  # bound by tests/laws


@pytest.mark.slow
@pytest.mark.parametrize("law", [name for name in LAWS if "save" not in name])
@pytest.mark.parametrize("word", sorted(set(LAYERS) - OWN))
def test_laws(word: str, law: str) -> None:
    if law in NEEDS and NEEDS[law] not in StackForecaster.traits:
        pytest.skip(f"binds {NEEDS[law]} only")
    with torch.no_grad():
        LAWS[law](member(word))


def seasonal(rows: int = 96, batch: int = 16) -> Past:
    generator = torch.Generator().manual_seed(1)
    phase = torch.randint(0, 8, (batch, 1, 1), generator=generator)
    time = torch.arange(rows)[None, :, None] + phase
    noise = 0.1 * torch.randn(batch, rows, 1, generator=generator, dtype=torch.float64)
    return Past.of(10 + 3 * torch.sin(2 * torch.pi * time.double() / 8) + noise)


@pytest.mark.parametrize("word", sorted(LAYERS))
def test_learns_a_cycle_by_the_dense_loss(word: str) -> None:
    """Sixty steps halve the error of repeating the last value, and the error falls with the loss."""
    torch.manual_seed(0)
    model = StackForecaster(blocks=(word,), every=1, width=16, horizon=8, seasons=(8,), dropout=0.0)
    batch, optimiser = seasonal(), torch.optim.AdamW(model.parameters(), 1e-2)
    for step in range(60):
        optimiser.zero_grad()
        model._loss(batch, 4, step).backward()
        optimiser.step()
    past, actual = batch.rows(0, 88), batch.values[:, 88:]
    with torch.no_grad():
        forecast = model.eval().predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, 8))
    naive = float((actual - past.values[:, -1:]).abs().mean())
    assert float((forecast.median - actual).abs().mean()) <= 0.5 * naive
    low, high = forecast.interval(0.9)
    assert 0.5 <= float(((actual >= low) & (actual <= high)).double().mean()) <= 1.0


def test_missing_targets_weigh_nothing() -> None:
    torch.manual_seed(0)
    model = StackForecaster(blocks=("s4d",), width=8, horizon=8, dropout=0.0)
    batch = seasonal(batch=2)
    one = model._loss(Past(*(part[:1] for part in batch)), 4, 0)
    blank = batch.values.clone()
    blank[1] = torch.nan
    assert float(model._loss(batch._replace(values=blank), 4, 0).detach()) == pytest.approx(
        float(one.detach()), rel=1e-5
    )
