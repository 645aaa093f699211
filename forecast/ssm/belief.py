"""The Gaussian belief over the latent state of each series, with its exact diffuse part.

    x ~ N(mean, covariance + κ diffuse),  κ → ∞   (Durbin & Koopman 2012, §5.2)
Shapes: mean (B m); covariance and diffuse (B n), n = m (m + 1) / 2, the upper triangle row by row; tally (B 2 + 2 C):
observed rows, rank of what is still diffuse, smallest and largest observed value of each channel. Between rows the
belief is the filtered one. Memory is series-innermost, as the kernels read it: a transposed view of (n B); any other
layout works too.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Belief(NamedTuple):
    """What is known of the latent state of each series after the rows so far."""

    mean: Tensor
    covariance: Tensor
    diffuse: Tensor
    tally: Tensor

    @property
    def observed(self) -> Tensor:
        """Observed rows (B)."""
        return self.tally[:, 0]


def pack(matrix: Tensor) -> Tensor:
    """Symmetric matrices (… m m) as upper triangles (… n)."""
    m = matrix.shape[-1]
    i, j = torch.triu_indices(m, m, device=matrix.device)
    return matrix[..., i, j]


def unpack(triangle: Tensor) -> Tensor:
    """Upper triangles (… n) as symmetric matrices (… m m)."""
    n = triangle.shape[-1]
    m = int(((8 * n + 1) ** 0.5 - 1) / 2)
    i, j = torch.triu_indices(m, m, device=triangle.device)
    index = torch.empty(m, m, dtype=torch.long, device=triangle.device)
    index[i, j] = index[j, i] = torch.arange(n, device=triangle.device)
    return triangle[..., index]


def fresh(mean: Tensor, covariance: Tensor, diffuse: Tensor, channels: int = 1, rank: int | None = None) -> Belief:
    """The belief before the first row: mean (B m), covariance (B m m), diffuse part (m m) or (B m m) shared by all
    series.

    The rank of the diffuse part is counted where it is not stated.
    """
    batch, m = mean.shape
    diffuse = diffuse.to(mean.dtype)
    if rank is None:
        rank = int(torch.linalg.matrix_rank(diffuse.reshape(-1, m, m)[0])) if m else 0
    tally = mean.new_zeros(batch, 2 + 2 * channels)
    tally[:, 1] = rank
    tally[:, 2 : 2 + channels], tally[:, 2 + channels :] = torch.inf, -torch.inf
    spread = pack(diffuse).expand(batch, -1)
    return Belief(mean, pack(covariance), series_innermost(spread), series_innermost(tally))


def series_innermost(leaf: Tensor) -> Tensor:
    """The same (B n) tensor laid out as the kernels read it."""
    return leaf.T.contiguous().T
