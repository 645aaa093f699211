"""HiPPO-LegS and the diagonal starting points derived from it.

    A_nk = -√((2n+1)(2k+1)) (n > k), -(n+1) (n = k), 0 (n < k);    B_n = √(2n+1)
    A + P Pᵀ is normal with P_n = √(n + ½):  V* (A + P Pᵀ) V = diag(λ), all Re λ = -½     (the normal part is A + ½ I + PPᵀ skew)

Conjugate pairs: only the half with positive imaginary part is kept, so N pairs stand for a real system of order 2N.
Sources: Gu et al. (2020) HiPPO, eq. 30-31; Gu, Goel & Ré (2022) S4, Theorem 1 and Appendix C; Gu et al. (2022) S4D, §4.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.errors import unknown


class Normal(NamedTuple):
    """HiPPO-LegS as normal plus low rank in the basis that diagonalises it, conjugate halves dropped."""

    poles: Tensor  # (N) complex128
    low_rank: Tensor  # (N): V* P
    inward: Tensor  # (N): V* B


def legs(order: int) -> tuple[Tensor, Tensor]:
    """A (N N) and B (N) of HiPPO-LegS."""
    root = torch.sqrt(2 * torch.arange(order, dtype=torch.float64) + 1)
    lower = -torch.tril(root[:, None] * root[None, :], -1)
    return lower - torch.diag(torch.arange(1, order + 1, dtype=torch.float64)), root


def legs_normal(pairs: int) -> Normal:
    """LegS of order 2N as N conjugate pairs of a normal matrix less a rank-one term."""
    a, b = legs(2 * pairs)
    p = torch.sqrt(torch.arange(2 * pairs, dtype=torch.float64) + 0.5)
    normal = a + p[:, None] * p[None, :]
    # normal = -½ I + skew: its eigenvectors are those of the Hermitian i·skew, which eigh gives exactly orthonormal
    imag, vectors = torch.linalg.eigh(
        (normal + 0.5 * torch.eye(2 * pairs, dtype=torch.float64)).to(torch.complex128) * -1j
    )
    half = slice(pairs, 2 * pairs)
    back = vectors.mH[half]
    return Normal(
        torch.complex(torch.full_like(imag[half], -0.5), imag[half]), back @ p.to(back.dtype), back @ b.to(back.dtype)
    )


def diagonal_poles(kind: str, pairs: int) -> Tensor:
    """Poles (N) of S4D: `lin` -½ + iπn, `inv` -½ + i (N/π)(N/(2n+1) - 1), `legs` the normal part of LegS."""
    n = torch.arange(pairs, dtype=torch.float64)
    if kind == "legs":
        return legs_normal(pairs).poles
    if kind not in ("lin", "inv"):
        raise unknown("start of the poles", kind, ("lin", "inv", "legs"))
    order = 2 * pairs
    imag = math.pi * n if kind == "lin" else order / math.pi * (order / (2 * n + 1) - 1)
    return torch.complex(torch.full_like(n, -0.5), imag)
