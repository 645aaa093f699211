"""S4D and HiPPO against their definitions."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from forecast.kernels import scan_modes
from forecast.layers.s4d import S4D
from forecast.ssm import modes as forms
from forecast.ssm.hippo import diagonal_poles, legs, legs_normal


def dense_response(layer: S4D, u: Tensor, elapsed: Tensor) -> Tensor:
    """x' = A x + B u by matrix exponentials of the real 2N × 2N system, channel by channel, float64."""
    step, decay = layer.log_step.exp().detach().numpy(), layer.log_decay.exp().detach().numpy()
    frequency, readout = layer.frequency.detach().numpy(), layer.readout.detach().numpy()
    direct, out = layer.direct.detach().numpy(), np.zeros(u.shape)
    for d in range(u.shape[2]):
        blocks = [[[-a, -w], [w, -a]] for a, w in zip(decay[:, d], frequency[:, d], strict=True)]
        a = scipy.linalg.block_diag(*blocks)
        b = np.tile([1.0, 0.0], len(blocks))
        c = 2 * np.stack([readout[0, :, d], -readout[1, :, d]], 1).ravel()
        inward = np.linalg.solve(a, scipy.linalg.expm(a * step[d]) - np.eye(len(a))) @ b
        for k in range(u.shape[0]):
            x = np.zeros(len(a))
            for t in range(u.shape[1]):
                x = scipy.linalg.expm(a * step[d] * float(elapsed[k, t])) @ x + inward * float(u[k, t, d])
                out[k, t, d] = c @ x + direct[d] * float(u[k, t, d])
    return torch.from_numpy(out)


@pytest.mark.parametrize("start", ["lin", "inv", "legs"])
def test_zero_order_hold_is_the_dense_simulation(start: str) -> None:
    torch.manual_seed(0)
    layer = S4D(2, state=4, start=start).double()
    u, elapsed = torch.randn(2, 12, 2, dtype=torch.float64), 3 * torch.rand(2, 12, dtype=torch.float64)
    for gaps in (torch.ones_like(elapsed), elapsed):
        y, _ = layer(u, layer.initial_state(2), gaps, torch.ones(2, 12, dtype=torch.bool))
        assert float((y.detach() - dense_response(layer, u, gaps)).abs().max()) <= 1e-12


def test_bilinear_is_the_trapezoidal_rule() -> None:
    """One row of x_t = (I - ΔA/2)⁻¹ ((I + ΔA/2) x + Δ B u), in complex arithmetic."""
    torch.manual_seed(0)
    layer = S4D(3, state=4, hold="bilinear").double()
    a = torch.complex(-layer.log_decay.exp(), layer.frequency)
    z, c = a * layer.log_step.exp() / 2, torch.complex(*layer.readout)
    x, u = torch.zeros_like(a), torch.randn(1, 9, 3, dtype=torch.float64)
    expected = []
    for row in u[0]:
        x = ((1 + z) * x + layer.log_step.exp() * row) / (1 - z)
        expected.append(2 * (c * x).sum(0).real + layer.direct * row)
    y, _ = layer(u, layer.initial_state(1), torch.ones(1, 9), torch.ones(1, 9, dtype=torch.bool))
    assert float((y[0] - torch.stack(expected)).detach().abs().max()) <= 1e-12


def legs_error(rows: int, order: int = 8) -> float:
    """Distance of the LegS state, x' = (A x + B u) / t by the trapezoidal rule, from the Legendre coefficients of u on [0, t]."""
    a, b = (part.numpy() for part in legs(order))
    t = np.arange(1, rows + 1)
    signal = np.cos(3 * t / rows) + 0.3 * t / rows
    x = np.zeros(order)
    for k, u in zip(t, signal, strict=True):
        left, right = np.eye(order) - a / (2 * (k + 1)), np.eye(order) + a / (2 * k)
        x = np.linalg.solve(left, right @ x + b / (k + 1) * u)
    grid = 2 * (t - 0.5) / rows - 1
    legendre = np.stack([np.sqrt(2 * n + 1) * np.polynomial.Legendre.basis(n)(grid) for n in range(order)])
    return float(np.abs(x - legendre @ signal / rows).max())


def test_legs_remembers_by_its_definition() -> None:
    """The error of the rule falls with its step, and with it the share of the start, where 1/t jumps."""
    coarse, fine = legs_error(1000), legs_error(4000)
    assert fine <= 0.003 and fine <= 0.4 * coarse


def test_legs_is_normal_less_rank_one() -> None:
    """The poles kept are those of A + PPᵀ, and V diag(λ) V* - PP* is A again."""
    a, b = legs(16)
    normal = legs_normal(8)
    p = torch.sqrt(torch.arange(16, dtype=torch.float64) + 0.5)
    dense = torch.linalg.eigvals(a + p[:, None] * p[None, :])
    expected = torch.sort(dense.imag[dense.imag > 0]).values
    assert float((torch.sort(normal.poles.imag).values - expected).abs().max()) <= 1e-9
    assert float((dense.real + 0.5).abs().max()) <= 1e-9
    assert float(normal.low_rank.abs().square().sum() * 2 - p.square().sum()) == pytest.approx(0, abs=1e-9)
    assert float(normal.inward.abs().square().sum() * 2 - b.square().sum()) == pytest.approx(0, abs=1e-9)


def test_lin_and_inv_are_the_published_poles() -> None:
    assert torch.allclose(diagonal_poles("lin", 3).imag, torch.tensor([0.0, math.pi, 2 * math.pi], dtype=torch.float64))
    assert torch.allclose(
        diagonal_poles("inv", 2).imag, torch.tensor([4 / math.pi * 3, 4 / math.pi / 3], dtype=torch.float64)
    )


def test_the_three_forms_are_one() -> None:
    torch.manual_seed(0)
    layer = S4D(5, state=6).double()
    modes, u, start = (
        layer.modes(),
        torch.randn(2, 300, 5, dtype=torch.float64),
        torch.randn(2, 2, 6, 5, dtype=torch.float64),
    )
    modes = forms.Modes(*(part.detach() for part in modes))
    ones = torch.ones(2, 300, dtype=torch.float64)
    recurred = forms.recur(modes, u, ones, start)
    for y, end in (forms.convolve(modes, u, start), forms.loop(modes, u, ones, start)):
        assert float((y - recurred[0]).abs().max() / recurred[0].abs().max()) <= 1e-12
        assert float((end - recurred[1]).abs().max() / recurred[1].abs().max()) <= 1e-12


def test_adjoint_of_the_kernel_is_autograd_of_the_loop() -> None:
    torch.manual_seed(0)
    layer = S4D(3, state=4).double()
    u = torch.randn(2, 30, 3, dtype=torch.float64, requires_grad=True)
    start = torch.randn(2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    for elapsed in (torch.ones(2, 30, dtype=torch.float64), torch.randint(1, 4, (2, 30)).double()):
        grads = []
        for form in (forms.recur, forms.loop):
            y, end = form(layer.modes(), u, elapsed, start)
            grads.append(
                torch.autograd.grad(
                    y.sin().sum() + end.square().sum(), [u, start, *layer.parameters()], allow_unused=True
                )
            )
        for a, b in zip(*grads, strict=True):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert float((a - b).abs().max() / b.abs().max().clamp(min=1)) <= 1e-11


def test_a_long_irregular_past_is_cut_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = S4D(3, state=4)
    u, elapsed = torch.randn(2, 50, 3), torch.rand(2, 50, dtype=torch.float64)
    rows = (u, layer.initial_state(2), elapsed, torch.ones(2, 50, dtype=torch.bool))
    whole = layer(*rows)
    monkeypatch.setattr(forms, "TABLE", 200)
    cut = layer(*rows)
    assert torch.equal(whole[0], cut[0]) and torch.equal(whole[1].modes, cut[1].modes)


def test_bits_do_not_depend_on_the_number_of_channels() -> None:
    torch.manual_seed(0)
    for width in (1, 3, 7, 16, 37):
        layer = S4D(width)
        half = max(1, width // 2)
        part = S4D(half)
        for name, parameter in part.named_parameters():
            parameter.data = dict(layer.named_parameters())[name].data[..., :half]
        u, ones = torch.randn(2, 60, width), torch.ones(2, 60)
        y, _ = layer(u, layer.initial_state(2), ones, ones.bool())
        z, _ = part(u[..., :half], part.initial_state(2), ones, ones.bool())
        assert torch.equal(y[..., :half], z)


def test_the_recurrence_without_the_compiler_is_the_kernel() -> None:
    generator = np.random.default_rng(0)
    u, table, c, direct = (generator.normal(size=shape) for shape in ((2, 70, 21), (3, 2, 4, 21), (2, 4, 21), (21,)))
    table *= 0.4
    gap, start = generator.integers(0, 3, (2, 70)), generator.normal(size=(2, 2, 4, 21))
    made = []
    for form in (scan_modes.advance, scan_modes.plain):
        state, y = start.copy(), np.empty_like(u)
        form(u, table, c, direct, gap, state, y, np.empty((2, 0, 2, 4, 21)))
        made.append((y, state))
    for a, b in zip(*made, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
