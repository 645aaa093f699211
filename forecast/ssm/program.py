"""A linear-Gaussian model as a short list of primitive operations:  x' = G x + w,  y = H x + v.

A `Program` is the structure that all series share; the numbers are coefficients (B K), or (B T K) where they change
with time. One compiled kernel interprets every program, so a new model costs no compile. Its operations, in the order
of the transition:
    add     x_i += c x_j               multiply  x_i *= c            mix   (x_i, x_j) = [[c0 c1] [c2 c3]] (x_i, x_j)
    shift   x_k takes over x_{k+1}, the last of the ring the first: costs nothing
    noise   Q_ij += sign · c           dense     x = G x on a run of states, G row by row from coefficient c
Coefficient None means one. `dense` answers the same model as matrices, for the torch twin and for everyone who reads
matrices.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels.operations import ADD, DENSE, MIX, MUL, NOISE, SHIFT

Table = NDArray[np.int64]


@dataclass(frozen=True)
class Program:
    """The structure of a model; arrays as the kernels read them."""

    size: int
    channels: int
    coefficients: int
    operations: Table  # (O 6): kind, i, j, coefficient, extra, tape
    reads: Table  # (Z 4): channel, state, coefficient, tape
    first: Table  # (C+1): reads of channel c
    noise: Table  # (C): coefficient of the observation noise, -1 for none
    tapes: int  # rows of the belief that gradients need

    @property
    def kernel(self) -> tuple[Table, Table, Table, Table]:
        """What kernels read of it."""
        return self.operations, self.reads, self.first, self.noise

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        """Where those lie, as long as this object lives."""
        return tuple(table.ctypes.data for table in self.kernel)

    @cached_property
    def foreseeing(self) -> "Program":
        """The same states read by twice as many channels, the first half to stay missing: theirs is the forecast before the row."""
        twice = np.concatenate([self.reads, self.reads + np.array([self.channels, 0, 0, 0])])
        first = np.concatenate([self.first, self.first[1:] + len(self.reads)])
        noise = np.concatenate([self.noise, self.noise])
        return replace(self, channels=2 * self.channels, reads=twice, first=first, noise=noise)

    def __getstate__(self) -> dict[str, Any]:
        """All but the addresses: a copy has its own."""
        return {name: value for name, value in self.__dict__.items() if name != "addresses"}


@dataclass
class Builder:
    """Collects states, coefficients and operations into a Program."""

    channels: int = 1
    size: int = 0
    coefficients: int = 0
    _operations: list[list[int]] = field(default_factory=list)
    _reads: list[list[int]] = field(default_factory=list)
    _noise: dict[int, int] = field(default_factory=dict)
    _tapes: int = 0

    def states(self, count: int = 1) -> int:
        """Room for `count` states; the number of the first."""
        self.size += count
        return self.size - count

    def numbers(self, count: int = 1) -> int:
        """Room for `count` coefficients; the number of the first."""
        self.coefficients += count
        return self.coefficients - count

    def add(self, i: int, j: int, c: int | None = None, fixed: bool = False) -> None:
        """x_i += c x_j."""
        self._append(ADD, i, j, c, 0, 0 if c is None or fixed else 1)

    def multiply(self, i: int, c: int, fixed: bool = False) -> None:
        """x_i *= c."""
        self._append(MUL, i, i, c, 0, 0 if fixed else 1)

    def mix(self, i: int, j: int, c: int, fixed: bool = False) -> None:
        """(x_i, x_j) through the 2 × 2 matrix of the coefficients c … c+3."""
        self._append(MIX, i, j, c, 0, 0 if fixed else 2)

    def shift(self, first: int, length: int) -> None:
        """x_first = x_{first+1} and so on; the last takes what was first."""
        self._append(SHIFT, first, first, None, length, 0)

    def noise(self, i: int, j: int, c: int, sign: int = 1) -> None:
        """Q_ij (and Q_ji) += sign · c."""
        self._append(NOISE, i, j, c, sign, 0)

    def dense(self, first: int, size: int, c: int, fixed: bool = False) -> None:
        """A matrix of size² coefficients from c on a run of states."""
        self._append(DENSE, first, first, c, size, 0 if fixed else size)

    def read(self, state: int, channel: int = 0, c: int | None = None, fixed: bool = False) -> None:
        """y_channel += c x_state."""
        tape = self._tape(0 if c is None or fixed else 1)
        self._reads.append([channel, state, -1 if c is None else c, tape])

    def observation_noise(self, c: int, channel: int = 0) -> None:
        """Variance of the noise of a channel."""
        self._noise[channel] = c

    def program(self) -> Program:
        """The finished structure."""
        reads = np.array(sorted(self._reads), np.int64).reshape(-1, 4)
        return Program(
            self.size,
            self.channels,
            self.coefficients,
            np.array(self._operations, np.int64).reshape(-1, 6),
            reads,
            np.searchsorted(reads[:, 0], np.arange(self.channels + 1)).astype(np.int64),
            np.array([self._noise.get(c, -1) for c in range(self.channels)], np.int64),
            self._tapes,
        )

    def _append(self, kind: int, i: int, j: int, c: int | None, extra: int, tapes: int) -> None:
        self._operations.append([kind, i, j, -1 if c is None else c, extra, self._tape(tapes)])

    def _tape(self, rows: int) -> int:
        self._tapes += rows
        return self._tapes - rows if rows else -1


def matrices(program: Program, coefs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """F (… m m), Q (… m m), H (… C m) and observation noise (… C) of coefficients (… K)."""
    one = torch.ones_like(coefs[..., 0])
    c = [*coefs.unbind(-1), one]  # c[-1] is one
    m = program.size
    unit = torch.eye(m, dtype=coefs.dtype, device=coefs.device)
    F, Q = unit.expand(*one.shape, m, m), torch.zeros(*one.shape, m, m, dtype=coefs.dtype, device=coefs.device)
    for kind, i, j, k, extra, _ in program.operations.tolist():
        if kind == NOISE:
            Q = Q + extra * _sparse({(i, j): c[k], (j, i): c[k]}, m, m, one)
        else:
            G = _operator(kind, i, j, k, extra, c, m, one)
            F, Q = G @ F, G @ Q @ G.mT
    H = _sparse({(ch, state): c[k] for ch, state, k, _ in program.reads.tolist()}, program.channels, m, one)
    R = torch.stack([c[k] if k >= 0 else torch.zeros_like(one) for k in program.noise.tolist()], -1)
    return F, Q, H, R


def _operator(kind: int, i: int, j: int, k: int, extra: int, c: list[Tensor], m: int, one: Tensor) -> Tensor:
    """One linear operation as a matrix (… m m)."""
    entries = {(r, r): one for r in range(m)}
    if kind == ADD:
        entries[i, j] = c[k]
    elif kind == MUL:
        entries[i, i] = c[k]
    elif kind == MIX:
        entries |= {(i, i): c[k], (i, j): c[k + 1], (j, i): c[k + 2], (j, j): c[k + 3]}
    elif kind == SHIFT:
        ring = range(i, i + extra)
        entries = {(r, r if r not in ring else i + (r - i + 1) % extra): one for r in range(m)}
    elif kind == DENSE:
        entries |= {(i + p, i + q): c[k + p * extra + q] for p in range(extra) for q in range(extra)}
    return _sparse(entries, m, m, one)


def _sparse(entries: dict[tuple[int, int], Tensor], rows: int, columns: int, one: Tensor) -> Tensor:
    """A matrix (… rows columns) of a few entries."""
    flat = torch.zeros(*one.shape, rows * columns, dtype=one.dtype, device=one.device)
    if entries:
        where = torch.tensor([r * columns + s for r, s in entries], device=one.device)
        flat = flat.index_copy(-1, where, torch.stack([e + 0 * one for e in entries.values()], -1))
    return flat.reshape(*one.shape, rows, columns)
