"""A layer that works on every P-th row and holds what it said in between: state patching.

Row t of a sequence counts from its first observed row; the inner layer gets the rows whose count is a multiple of P, with the time
since its last one in units of P rows. There is nothing to align: each such row carries a summary of those before it.
Shapes: u (B T F) → y (B T D), held from sample to sample and 0 before the first. In one pass every sequence has ⌈T/P⌉ places for its
samples; a place that is not used is padding of the contract: not observed and no time, so the inner state stays.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from forecast.layers.sequence import SequenceLayer


class SampledState(NamedTuple):
    """Where a sequence stands between two samples."""

    inner: Any
    count: Tensor  # type: ignore[assignment]  # (B) int64: rows since and with the first observed one
    since: Tensor  # (B) float64: time since the last sample
    held: Tensor  # (B D)


class Places(NamedTuple):
    """The samples of a pass; S of them have room."""

    at: Tensor  # (B S): their rows, ascending
    valid: Tensor  # (B S)
    gaps: Tensor  # (B S): time since the one before, in units of P rows
    newest: Tensor  # (B T): how many there were so far
    count: Tensor  # type: ignore[assignment]  # (B): as in the state, after the last row
    since: Tensor  # (B)


class Sampled(SequenceLayer[SampledState]):
    """An inner layer on every P-th row."""

    def __init__(self, inner: SequenceLayer[Any], width: int, every: int) -> None:
        super().__init__()
        self.inner, self.width, self.every = inner, width, every

    def initial_state(self, batch: int) -> SampledState:
        held = next(self.inner.parameters()).new_zeros(batch, self.width)
        count = torch.zeros(batch, dtype=torch.int64, device=held.device)
        return SampledState(self.inner.initial_state(batch), count, count.to(torch.float64), held)

    def forward(self, u: Tensor, state: SampledState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, SampledState]:
        places = self.places(state, elapsed, observed)
        samples = u.gather(1, places.at[..., None].expand(-1, -1, u.shape[2]))
        said, inner = self.say(samples, state, places)
        out = said.gather(1, places.newest[..., None].expand(-1, -1, self.width))
        return out, SampledState(inner, places.count, places.since, out[:, -1])

    def say(self, samples: Tensor, state: SampledState, places: Places) -> tuple[Tensor, Any]:
        """What was held before and what is said after each sample (B 1+S D), and the state of the inner layer."""
        y, inner = self.inner(samples, state.inner, places.gaps, places.valid)
        return torch.cat([state.held[:, None], y], 1), inner

    def places(self, state: SampledState, elapsed: Tensor, observed: Tensor) -> Places:
        """Which of some rows (B T) are samples."""
        rows, every = elapsed.shape[1], self.every
        live = (state.count > 0)[:, None] | (observed.cumsum(1) > 0)
        # padding in the middle (no time, nothing observed) is no row
        live = live & (observed | (elapsed > 0))
        count = state.count[:, None] + live.cumsum(1)
        time = state.since[:, None] + (elapsed.to(torch.float64) * live).cumsum(1)
        done = state.count // every
        wanted = (done[:, None] + 1 + torch.arange(-(-rows // every), device=elapsed.device)) * every
        at = torch.searchsorted(count.contiguous(), wanted.contiguous()) if not elapsed.is_meta else wanted
        valid, at = at < rows, at.clamp(max=rows - 1)
        clock = torch.where(valid, time.gather(1, at), 0.0)
        before = torch.cat([torch.zeros_like(clock[:, :1]), clock[:, :-1]], 1)
        gaps = torch.where(valid, (clock - before) / every, 0.0)
        return Places(at, valid, gaps, count // every - done[:, None], count[:, -1], time[:, -1] - clock.amax(1))

    def clock(self, count: Any, since: Any, elapsed: Any, observed: Any) -> tuple[Any, Any, Any]:
        """Rows counted and time since the last sample after one more row, and where it is a sample; tensors or arrays, any axes."""
        live = ((count > 0) & (elapsed > 0)) | observed
        count = count + live
        return count, since + elapsed * live, live & (count % self.every == 0)

    def step(self, u: Tensor, state: SampledState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, SampledState]:
        count, since, due = self.clock(state.count, state.since, elapsed.to(torch.float64), observed)
        if not (u.is_meta or bool(due.any())):
            return state.held, SampledState(state.inner, count, since, state.held)
        after = self.sample(u, state.inner, state.held, count, since, due)
        return after.held, after

    def sample(
        self, u: Tensor, inner: Any, held: Tensor, count: Tensor, since: Tensor, due: Tensor
    ) -> SampledState:
        """The state after a row (B …) that is a sample where it is due."""
        if not due.is_meta and bool(due.all()):
            held, inner = self.inner.step(u, inner, since / self.every, due)
            return SampledState(inner, count, torch.zeros_like(since), held)
        y, inner = self.inner.step(u, inner, torch.where(due, since / self.every, 0.0), due)
        return SampledState(inner, count, torch.where(due, 0.0, since), torch.where(due[:, None], y, held))
