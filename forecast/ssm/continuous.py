"""Exact discretisation of  dx = A x dt + G dβ,  E dβ dβ' = S dt,  over an elapsed time.

    F = exp(A Δ),  Q = ∫₀^Δ exp(A s) G S G' exp(A s)' ds;   with input held constant: B_d = ∫₀^Δ exp(A s) B ds
by one matrix exponential of a block matrix. Shapes: A (… m m), spectral density L = G S G' (… m m), elapsed (…); B (… m
K). Source: Van Loan (1978), eq. 1.2 and 1.6; Särkkä & Solin (2019), Applied SDEs, §6.3.
"""

import torch
from torch import Tensor


def discretise(A: Tensor, density: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor]:
    """Transition F and process noise Q (… m m) over each elapsed time."""
    m = A.shape[-1]
    step = elapsed[..., None, None]
    top = torch.cat(torch.broadcast_tensors(-A * step, density * step), -1)
    zero, lower = torch.broadcast_tensors(torch.zeros_like(A), A.mT * step)
    block = torch.matrix_exp(torch.cat([top, torch.cat([zero, lower], -1)], -2))
    F = block[..., m:, m:].mT
    Q = F @ block[..., :m, m:]
    return F, (Q + Q.mT) / 2


def discretise_input(A: Tensor, B: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor]:
    """F (… m m), Q (… m m), H (… C m) and observation noise (… C) of coefficients (… K)."""
    m, inputs = B.shape[-2:]
    top = torch.cat([A, B], -1) * elapsed[..., None, None]
    block = torch.matrix_exp(
        torch.cat([top, torch.zeros_like(top[..., :1, :]).expand(*top.shape[:-2], inputs, -1)], -2)
    )
    return block[..., :m, :m], block[..., :m, m:]
