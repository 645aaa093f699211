"""System identification: a linear time-invariant system with inputs, found from data alone.

    x' = A x + B u + K e,   y = C x + D u + e,   e ~ N(0, Σ)          (innovations form, order n)
θ₀ by canonical variates: the past of p rows is projected on those of its directions that tell most of the next f rows; the
directions are the state, and least squares gives the matrices. The order has the smallest AICc of one-step errors.
Then all matrices climb the exact likelihood together. Between rows that are observed in full the filter's state is x and
the innovation of the row before; a missing value is an innovation that is not known.
Eigenvalues of A are held within 0.9999.
Sources: Larimore (1990) Canonical variate analysis, IEEE CDC; Van Overschee & De Moor (1996) Subspace identification, ch. 3;
Ljung (1999) System identification, §4.3 and §7.3.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.models.joint import Driven, JointForecaster
from forecast.ssm.belief import Belief, fresh
from forecast.ssm.program import Builder, Program

LARGEST = 0.9999  # of the moduli of A's eigenvalues
RIDGE = 1e-3  # of the least squares, in variances of a standardised column
UNCERTAIN = 10.0  # variance of each state at the start, of states with variance 1


class System(NamedTuple):
    """The matrices of the innovations form."""

    A: Tensor  # (… n n)
    K: Tensor  # (… n C)
    C: Tensor  # (… C n)
    root: Tensor  # (… C C): lower triangle, Σ = root root'
    B: Tensor  # (… n U)
    D: Tensor  # (… C U)


class Subspace(JointForecaster):
    """A linear system of at most `order` states, driven by its inputs."""

    def __init__(
        self,
        order: int = 8,  # states at most
        channels: int = 1,
        inputs: int = 0,
        engine: str | None = None,
    ) -> None:
        super().__init__()
        self.order, self.channels, self.inputs, self.engine = order, channels, inputs, engine
        self.program = self._program()
        self.needs = 6 * max(2, math.ceil(order / channels))

    @classmethod
    def example(cls) -> Self:
        return cls(order=3, channels=2, inputs=1)

    def _program(self) -> Program:
        """States: x, e. A row's e is fresh: it enters the next x through K and is then forgotten."""
        b = Builder(self.channels)
        x, e = b.states(self.order), b.states(self.channels)
        b.dense(x, self.order, b.numbers(self.order**2))
        for i in range(self.order):
            for c in range(self.channels):
                b.add(x + i, e + c, b.numbers())
        nothing = b.numbers()
        for c in range(self.channels):
            b.multiply(e + c, nothing, fixed=True)
        for i in range(self.channels):
            for j in range(i, self.channels):
                b.noise(e + i, e + j, b.numbers())
        for c in range(self.channels):
            for i in range(self.order):
                b.read(x + i, c, b.numbers())
            b.read(e + c, c)
        return b.program()

    def system(self, theta: Tensor) -> System:
        """The matrices of parameters (B P)."""
        n, C, U = self.order, self.channels, self.inputs
        A, K, H, root, B, D = theta.split([n * n, n * C, C * n, C * (C + 1) // 2, n * U, C * U], 1)
        i, j = torch.tril_indices(C, C)
        triangle = theta.new_zeros(len(theta), C, C).index_put((torch.arange(len(theta))[:, None], i, j), root)
        diagonal = triangle.diagonal(dim1=-2, dim2=-1).exp()  # logarithms stand there
        full = triangle.tril(-1) + diagonal.diag_embed()
        return System(
            A.unflatten(1, (n, n)), K.unflatten(1, (n, C)), H.unflatten(1, (C, n)), full,
            B.unflatten(1, (n, U)), D.unflatten(1, (C, U)),
        )  # fmt: skip

    def coefficients(self, theta: Tensor) -> Tensor:
        made = self.system(theta)
        noise = made.root @ made.root.mT
        i, j = torch.triu_indices(self.channels, self.channels)
        nothing = torch.zeros_like(theta[:, :1])
        return torch.cat([made.A.flatten(1), made.K.flatten(1), nothing, noise[:, i, j], made.C.flatten(1)], 1)

    def belief(self, theta: Tensor) -> Belief:
        made = self.system(theta)
        m = self.program.size
        states = UNCERTAIN * torch.eye(self.order, dtype=theta.dtype, device=theta.device).expand(len(theta), -1, -1)
        covariance = torch.cat(
            [
                torch.cat([states, torch.zeros_like(made.K)], 2),
                torch.cat([torch.zeros_like(made.C), made.root @ made.root.mT], 2),
            ],
            1,
        )
        return fresh(torch.zeros_like(theta[:, :1]).expand(-1, m), covariance, theta.new_zeros(m, m), self.channels, 0)

    def driven(self, theta: Tensor, inputs: Tensor) -> Driven:
        made = self.system(theta)
        rows = inputs.shape[1]
        if not self.inputs or not rows:
            none = inputs.new_zeros(len(inputs), 0, self.program.size)
            return Driven(none, inputs.new_zeros(len(inputs), rows, self.channels))
        pushed = torch.nn.functional.pad(inputs @ made.B.mT, (0, self.channels))
        return Driven(pushed, inputs @ made.D.mT)

    def closed_form(self, values: Tensor, inputs: Tensor) -> Tensor:
        inputs = inputs[len(inputs) - len(values) :]
        made = _pad(canonical_variates(values, inputs, self.order), self.order)
        root = made.root.tril(-1) + made.root.diagonal().log().diag_embed()
        i, j = torch.tril_indices(self.channels, self.channels)
        return torch.cat([part.flatten() for part in (made.A, made.K, made.C, root[i, j], made.B, made.D)])

    def settle(self, theta: Tensor) -> Tensor:
        n = self.order
        A = self.system(theta).A
        return torch.cat([_stable(A).flatten(1), theta[:, n * n :]], 1)


def canonical_variates(values: Tensor, inputs: Tensor, largest: int) -> System:
    """The system of the order 1 … `largest` with the smallest AICc, of values (T C) without gaps and inputs (T U)."""
    rows, channels = values.shape
    ahead = max(2, math.ceil(largest / channels))
    behind = max(ahead, min(2 * ahead + 4, (rows - ahead) // (6 * (channels + inputs.shape[1]))))
    moments = range(behind, rows - ahead + 1)
    past = torch.stack(
        [
            torch.cat([values[t - k] for k in range(1, behind + 1)] + [inputs[t - k] for k in range(1, behind + 1)])
            for t in moments
        ]
    )
    future = torch.stack([values[t : t + ahead].flatten() for t in moments])
    known = torch.stack([inputs[t : t + ahead].flatten() for t in moments])
    white_past, white_future = _without(past, known), _without(future, known)
    root_past, root_future = _root(white_past), _root(white_future)
    cross = white_past.T @ white_future / len(past)
    across = torch.linalg.solve_triangular(root_past, cross, upper=False)
    across = torch.linalg.solve_triangular(root_future, across.T, upper=False).T
    directions = torch.linalg.svd(across, full_matrices=False)[0]
    count = min(largest, directions.shape[1])
    states = torch.linalg.solve_triangular(root_past, past.T, upper=False).T @ directions[:, :count]
    best, least = None, math.inf
    for order in range(1, count + 1):
        made = _matrices(
            states[:, :order], values[behind : behind + len(states)], inputs[behind : behind + len(states)]
        )
        free = (
            2 * order * channels + order * inputs.shape[1] + channels * inputs.shape[1] + channels * (channels + 1) // 2
        )
        sample = len(states) * channels
        cost = 2 * len(states) * float(made.root.diagonal().log().sum())
        cost += 2 * free * sample / max(sample - free - 1, 1)
        if best is None or cost < least:
            best, least = made, cost
    assert best is not None
    return best


def _matrices(x: Tensor, y: Tensor, u: Tensor) -> System:
    """Least squares of both equations, given the states (T n)."""
    order, channels = x.shape[1], y.shape[1]
    read = _least_squares(torch.cat([x, u], 1), y)  # (C n+U)
    e = y - torch.cat([x, u], 1) @ read.T
    go = _least_squares(torch.cat([x, u, e], 1)[:-1], x[1:])  # (n n+U+C)
    noise = e.T @ e / len(e)
    root = torch.linalg.cholesky(noise + 1e-6 * torch.eye(channels, dtype=y.dtype))
    return System(
        _stable(go[:, :order]),
        go[:, order + u.shape[1] :],
        read[:, :order],
        root,
        go[:, order : order + u.shape[1]],
        read[:, order:],
    )


def _least_squares(design: Tensor, target: Tensor) -> Tensor:
    unit = torch.eye(design.shape[1], dtype=design.dtype)
    return torch.linalg.solve(design.T @ design + RIDGE * len(design) * unit, design.T @ target).T


def _without(rows: Tensor, known: Tensor) -> Tensor:
    """What known future inputs do not tell."""
    return rows - known @ _least_squares(known, rows).T if known.shape[1] else rows


def _root(rows: Tensor) -> Tensor:
    """Lower triangle of the covariance of rows (T N)."""
    unit = torch.eye(rows.shape[1], dtype=rows.dtype)
    return torch.linalg.cholesky(rows.T @ rows / len(rows) + RIDGE * unit)


def _stable(A: Tensor) -> Tensor:
    """A (… n n) with no eigenvalue beyond `LARGEST`."""
    radius = torch.linalg.eigvals(A.nan_to_num(0.0)).abs().amax(-1)[..., None, None]
    return A * (LARGEST / radius.clamp(min=LARGEST))


def _pad(made: System, order: int) -> System:
    """States that do nothing, up to `order` of them."""
    short = order - made.A.shape[-1]
    pad = torch.nn.functional.pad
    return System(
        pad(made.A, (0, short, 0, short)), pad(made.K, (0, 0, 0, short)), pad(made.C, (0, short)), made.root,
        pad(made.B, (0, 0, 0, short)), made.D,
    )  # fmt: skip
