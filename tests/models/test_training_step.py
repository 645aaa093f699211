"""What a training step leaves out, and does faster, is what the whole says: features at few rows, the first window of attention, the pinball
loss and its gradient, dropout."""

import math

import pytest
import torch
from torch import Tensor

from forecast.layers.attention import Attention
from forecast.layers.blocks import Dropout
from forecast.layers.heads import pinball
from forecast.models.seasonal_lti import SeasonalLTI
from forecast.models.stack import StackForecaster
from forecast.types import Past


def past(rows: int = 90) -> Past:
    """Three series of two channels with gaps, one of which begins late."""
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(3, rows, 2, generator=generator, dtype=torch.float64)
    values[torch.rand(values.shape, generator=generator) < 0.2] = math.nan
    values[1, :33] = math.nan
    inputs = torch.randn(3, rows, 1, generator=generator, dtype=torch.float64)
    return Past(values, inputs, torch.ones(3, rows, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64))


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize("words", [("s4d", "window_attention"), ()])
def test_features_at_few_rows_are_those_of_all_and_so_are_the_gradients(words: tuple[str, ...], regular: bool) -> None:
    torch.manual_seed(0)
    model = StackForecaster(words, 3, 8, 0.0, horizon=6, seasons=(4, 12), channels=2, inputs=1, static=1)
    rows, made = past(), torch.tensor([0, 7, 8, 40, 89])
    if not regular:
        rows.elapsed[:, 20:30] = 1.5
    with torch.no_grad():
        state = model.warm_up(model.initial_state((), rows.static), rows.rows(0, 21))
    weight, found = torch.randn(3, len(made), 2, model.head.features), []
    for at in (True, False):
        model.zero_grad()
        if at:
            features, units = model.encode_at(state, rows, made)
        else:
            whole, all_units, _ = model.encode(state, rows)
            features, units = whole[:, made], type(all_units)(*(part[:, made] for part in all_units))
        if words:
            (features * weight).sum().backward()
        grads = [part.grad for part in model.parameters() if part.grad is not None]
        found.append((features, *units, *grads))
    assert len(found[0]) == len(found[1]) >= 6 + 5 * bool(words)
    for mine, whole in zip(*found, strict=True):
        assert torch.allclose(mine, whole, rtol=1e-4, atol=1e-5)


def test_a_member_that_puts_its_own_encoder_around_has_its_own_features_at_few_rows() -> None:
    model, rows, made = SeasonalLTI.example(), past(), torch.tensor([30, 89])
    state = model.initial_state((), rows.static)
    features, units = model.encode_at(state, rows, made)
    whole, all_units, _ = model.encode(state, rows)
    assert features.shape[-1] == model.head.features
    assert torch.equal(features, whole[:, made]) and torch.equal(units.loc, all_units.loc[:, made])


@pytest.mark.parametrize("even", [True, False])
def test_the_first_window_of_attention_is_that_of_the_general_form(even: bool) -> None:
    torch.manual_seed(0)
    layer, u = Attention(16, 12), torch.randn(5, 9, 16)
    elapsed = torch.ones(5, 9, dtype=torch.float64) if even else torch.rand(5, 9, dtype=torch.float64)
    state, observed = layer.initial_state(5), torch.ones(5, 9, dtype=torch.bool)
    said = []
    for form in (layer._first, layer._windows):
        layer.zero_grad()
        y, after = form(u, state, elapsed, observed)
        y.square().sum().backward()
        assert layer.log_decay.grad is not None and layer.enter.weight.grad is not None
        said.append((y, *after, layer.log_decay.grad.clone(), layer.enter.weight.grad.clone()))
    assert all(torch.allclose(one.double(), other.double(), atol=2e-5, rtol=1e-4) for one, other in zip(*said, strict=True))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_pinball_kernel_is_the_formula_and_its_gradient(kind: torch.dtype) -> None:
    generator, levels = torch.Generator().manual_seed(1), (0.1, 0.5, 0.7)
    q = torch.randn(4, 5, 3, generator=generator, dtype=kind).requires_grad_()
    y = torch.randn(4, 5, generator=generator, dtype=kind)
    weight = torch.rand(4, 5, generator=generator, dtype=kind)

    def plain(q: Tensor, y: Tensor) -> Tensor:
        level, error = torch.tensor(levels, dtype=kind), y[..., None] - q
        return torch.maximum(level * error, (level - 1) * error).mean(-1)

    grads = []
    for form in (lambda: pinball(q.transpose(0, 1), y.mT, levels).mT, lambda: plain(q, y)):
        q.grad = None
        loss = form()
        (loss * weight).sum().backward()
        grads.append((loss.detach(), q.grad))
    for mine, wanted in zip(*grads, strict=True):
        assert torch.allclose(mine, wanted, atol=1e-6, rtol=1e-5)
    y[0, 0] = math.nan
    assert torch.equal(pinball(q, y, levels).isnan(), y.isnan())


def test_dropout_drops_its_share_keeps_the_mean_and_follows_the_seed() -> None:
    layer, u = Dropout(0.3), torch.ones(99_997, requires_grad=True)
    torch.manual_seed(5)
    y = layer(u)
    dropped, share = float((y == 0).float().mean()), 77 / 256
    assert dropped == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(u)))
    assert float(y.max().detach()) == pytest.approx(1 / (1 - share)) and len(y.unique()) == 2
    pairs = (y.detach().view(-1)[: len(u) // 8 * 8].view(-1, 8) == 0).float()
    assert torch.corrcoef(pairs.T).fill_diagonal_(0).abs().max() < 0.05  # the bytes of a word do not follow one another
    y.sum().backward()
    assert torch.equal(u.grad, y.detach())
    torch.manual_seed(5)
    assert torch.equal(layer(u), y)
    assert torch.equal(layer.eval()(u), u) and torch.equal(Dropout(0.0)(u), u)
