"""Causal softmax attention over the last W observed rows, older ones weaker with time.

    y_t = Σ_j softmax_j(q_tᵀ R(age) k_j / √K - slope · age) v_j   over the last W observed rows j ≤ t, age the time from j to t

R turns the pairs of a key by age · ω, so that a head can look a certain time back: queries and keys are turned by their own times,
counted from the first observed row on. Shapes: u, y (B T D); H heads of K; keys, values (B W H K), right-aligned, empty places 0. With W
as long as the sequence it is full causal attention; a longer past is taken in pieces, so that memory stays bounded.
Sources: Vaswani et al. (2017); Press et al. (2022) ALiBi, here with elapsed time for positions and a learned slope; Su et al. (2024)
RoFormer, eq. 34, with the frequencies of its §3.2.2 from 1 to 1/1000.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from forecast.kernels import attend_rows
from forecast.layers import live_window
from forecast.layers.linear import Linear
from forecast.layers.matrix import heads_of
from forecast.layers.sequence import SequenceLayer
from forecast.ssm.modes import usable

SPAN = 2048  # rows that are attended to at once


class AttentionState(NamedTuple):
    """The last W observed rows."""

    keys: Tensor  # (B W H K), turned
    values: Tensor  # (B W H K)
    age: Tensor  # (B W) float64
    filled: Tensor  # (B W) bool
    clock: Tensor  # (B) float64: time since the first observed row


class Attention(SequenceLayer[AttentionState]):
    """Softmax attention over a window of observed rows."""

    turn: Tensor

    def __init__(self, width: int, window: int = 64) -> None:
        super().__init__()
        self.heads, self.window = heads_of(width), window
        self.enter, self.out = Linear(width, 3 * width, bias=False), Linear(width, width, bias=False)
        pairs = width // self.heads // 2
        turn = torch.logspace(0, -3, pairs, dtype=torch.float64)
        self.register_buffer("turn", turn, persistent=False)
        self._spare = live_window.Spare()
        # slopes; a lone head gets the gentlest: with the steepest it would not see farther than a few rows
        self.log_decay = nn.Parameter(torch.linspace(math.log(1e-3), math.log(0.5), self.heads).flip(0))

    def initial_state(self, batch: int) -> AttentionState:
        shape = (batch, self.window, self.heads, self.out.in_features // self.heads)
        blank = self.out.weight.new_zeros(shape)
        return AttentionState(
            blank,
            blank.clone(),
            blank.new_zeros(shape[:2], dtype=torch.float64),
            blank.new_zeros(shape[:2], dtype=torch.bool),
            blank.new_zeros(shape[0], dtype=torch.float64),
        )

    def forward(
        self, u: Tensor, state: AttentionState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, AttentionState]:
        pieces, whole = [], not observed.is_meta and bool(observed.all())
        size = max(self.window, SPAN) if whole else self.window
        for low in range(0, u.shape[1], size):
            piece = slice(low, low + size)
            form = self._windows if whole else self._piece
            if whole and u.shape[1] <= self.window and not bool(state.filled.any()):
                form = self._first
            y, state = form(u[:, piece], state, elapsed[:, piece], observed[:, piece])
            pieces.append(y)
        return torch.cat(pieces, 1), state

    def _first(
        self, u: Tensor, state: AttentionState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, AttentionState]:
        """The first rows, all observed and no more than W: nothing lies before them. Equal clocks are taken as one."""
        rows, some = u.shape[1], slice(1 if bool((elapsed == elapsed[:1]).all()) else None)
        before = state._replace(filled=state.filled[some], clock=state.clock[some])
        q, k, v, now, clock = self._entered(u, before, elapsed[some], observed[some])
        age = (now[:, :, None] - now[:, None]).clamp(min=0)
        y = self._attend(q, k, v, age, torch.ones(rows, rows, dtype=torch.bool, device=u.device).tril()[None])
        room = self.window - rows
        keys, values = (nn.functional.pad(part, (0, 0, 0, 0, room, 0)) for part in (k, v))
        ages = nn.functional.pad(now[:, -1:] - now, (room, 0)).expand(len(u), -1)
        filled = nn.functional.pad(observed, (room, 0))
        return self.out(y.flatten(-2)), AttentionState(keys, values, ages, filled, clock.expand(len(u)))

    def said(self, u: Tensor, state: AttentionState, elapsed: Tensor, observed: Tensor) -> Tensor:
        first = u.shape[1] <= self.window and usable(u) and not torch.is_autocast_enabled("cpu")
        if not (
            first and bool(observed.all()) and not bool(state.filled.any()) and bool((elapsed == elapsed[:1]).all())
        ):
            return super().said(u, state, elapsed, observed)
        rows, each = u.shape[1], attend_rows.WIDE // u.element_size()
        now = elapsed[:1].to(torch.float64).cumsum(1)[0]
        angle = (now - now[:1])[:, None] * self.turn  # of the time since the first row: pairs are told apart by their distance alone
        place, age = torch.arange(rows), (now[:, None] - now).clamp(min=0).to(u.dtype)
        bias = torch.where(place <= place[:, None], -self.log_decay.exp()[:, None, None] * age, -torch.inf)
        bias = nn.functional.pad(bias, (0, -rows % each), value=-torch.inf)
        entered = self.enter(u).unflatten(-1, (3, self.heads, -1))
        y: Tensor = _First.apply(entered, bias, angle.cos().to(u), angle.sin().to(u))  # type: ignore[no-untyped-call]
        return self.out(y.flatten(-2))

    def _windows(
        self, u: Tensor, state: AttentionState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, AttentionState]:
        """Where all is observed: windows of W rows at once, each beside the W rows before it."""
        rows, window = u.shape[1], self.window
        q, k, v, now, clock = self._entered(u, state, elapsed, observed)
        short = -rows % window
        keys, values = (
            nn.functional.pad(torch.cat([old, new], 1), (0, 0, 0, 0, 0, short))
            for old, new in ((state.keys, k), (state.values, v))
        )
        when = nn.functional.pad(torch.cat([-state.age, now], 1), (0, short))
        there = nn.functional.pad(torch.cat([state.filled, observed], 1), (0, short))
        count = (rows + short) // window
        both = (part.unfold(1, 2 * window, window).flatten(0, 1) for part in (when, there))
        when_seen, there_seen = both
        keys_seen, values_seen = (
            part.unfold(1, 2 * window, window).movedim(-1, 2).flatten(0, 1) for part in (keys, values)
        )
        own = torch.cat([now, now.new_zeros(len(now), short)], 1).unflatten(1, (count, window)).flatten(0, 1)
        back = window + torch.arange(window, device=u.device)[:, None] - torch.arange(2 * window, device=u.device)
        seen = ((back >= 0) & (back < window)) & there_seen[:, None]
        asked = nn.functional.pad(q, (0, 0, 0, 0, 0, short)).unflatten(1, (count, window)).flatten(0, 1)
        age = (own[:, :, None] - when_seen[:, None]).clamp(min=0)
        y = self._attend(asked, keys_seen, values_seen, age, seen).unflatten(0, (-1, count)).flatten(1, 2)[:, :rows]
        last = slice(rows, rows + window)
        filled = there[:, last]
        ages = torch.where(filled, now[:, -1:] - when[:, last], 0.0)
        return self.out(y.flatten(-2)), AttentionState(keys[:, last], values[:, last], ages, filled, clock)

    def _entered(
        self, u: Tensor, state: AttentionState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Queries and keys, turned, and values (B T H K); time since the state (B T); the clock at the end (B)."""
        q, k, v = self.enter(u).unflatten(-1, (3, self.heads, -1)).unbind(2)
        begun = state.filled[:, -1:] | (observed.cumsum(1) > observed)
        clock = state.clock[:, None] + (elapsed * begun).to(torch.float64).cumsum(1)
        return self._turned(q, clock), self._turned(k, clock), v, elapsed.to(torch.float64).cumsum(1), clock[:, -1]

    def _piece(
        self, u: Tensor, state: AttentionState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, AttentionState]:
        q, k, v, now, clock = self._entered(u, state, elapsed, observed)
        keys, values = torch.cat([state.keys, k], 1), torch.cat([state.values, v], 1)
        when, there = torch.cat([-state.age, now], 1), torch.cat([state.filled, observed], 1)
        rank = there.cumsum(1)
        rows = u.shape[1]
        place = torch.arange(self.window + rows, device=u.device)
        seen = (
            (place <= place[self.window :, None])
            & there[:, None]
            & (rank[:, None] > rank[:, self.window :, None] - self.window)
        )
        y = self._attend(q, keys, values, (now[:, :, None] - when[:, None]).clamp(min=0), seen)
        # the last W observed rows, in order: empty and unobserved places sort to the front
        order = there.to(torch.int8).sort(dim=1, stable=True).indices[:, -self.window :]
        filled = there.gather(1, order)
        index = order[..., None, None].expand(-1, -1, *keys.shape[2:])
        keys, values = (torch.where(filled[..., None, None], part.gather(1, index), 0.0) for part in (keys, values))
        age = torch.where(filled, now[:, -1:] - when.gather(1, order), 0.0)
        return self.out(y.flatten(-2)), AttentionState(keys, values, age, filled, clock)

    def _turned(self, rows: Tensor, time: Tensor) -> Tensor:
        """Rows (B S H K), their pairs turned by the time (B S) times each pair's frequency; an odd last column stays."""
        angle = (time[..., None] * self.turn)[:, :, None]
        cos, sin = angle.cos().to(rows.dtype), angle.sin().to(rows.dtype)
        pairs = angle.shape[-1]
        a, b, rest = rows.split([pairs, pairs, rows.shape[-1] - 2 * pairs], -1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], -1)

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, age: Tensor, seen: Tensor) -> Tensor:
        """(B T H K) from keys and values (B S H K), their age (B T S) and which are seen (B T S); 0 where none is."""
        bias = -self.log_decay.exp()[:, None, None] * age[:, None].to(q.dtype)
        none = ~seen.any(-1)
        mask = torch.where((seen | none[..., None])[:, None], bias, -torch.inf)
        q, keys, values = (part.transpose(1, 2) for part in (q, keys, values))
        if mask.requires_grad and mask.device.type == "cpu":  # torch's form looks for rows of which nothing is seen: there are none
            y = (q @ keys.mT / math.sqrt(q.shape[-1]) + mask).softmax(-1) @ values
        else:
            y = nn.functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        return torch.where(none[..., None, None], 0.0, y.transpose(1, 2))

    def step(
        self, u: Tensor, state: AttentionState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, AttentionState]:
        asked, v = self.enter(u).unflatten(-1, (3, self.heads, -1)).split([2, 1], 1)
        clock = state.clock + elapsed * state.filled[:, -1]
        q, k = self._turned(asked, clock[:, None].expand(-1, 2)).unbind(1)
        v = v[:, 0]
        if usable(u) and state.keys.dtype == u.dtype and not torch.is_grad_enabled():
            y, kept = live_window.step(self._spare, self.log_decay.exp(), (q, k, v), state[:4], elapsed, observed)
            return self.out(y.flatten(-2)), AttentionState(*kept, clock)
        age = state.age + elapsed[:, None] * state.filled
        after = AttentionState(
            _moved(state.keys, k, observed),
            _moved(state.values, v, observed),
            _moved(age, torch.zeros_like(age[:, 0]), observed),
            _moved(state.filled, torch.ones_like(observed), observed),
            clock,
        )
        y = self._attend(q[:, None], after.keys, after.values, after.age[:, None], after.filled[:, None])
        return self.out(y[:, 0].flatten(-2)), after


class _First(torch.autograd.Function):
    """The kernel of the first rows with its exact adjoint."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        parts = [part.contiguous() for part in (rows, cos, sin, bias)]
        y = rows.new_empty(*rows.shape[:2], *rows.shape[3:])
        parts.append(rows.new_tensor([1 / math.sqrt(rows.shape[-1]), 1.0, -1.0]))
        ctx.save_for_backward(*parts)
        attend_rows.forward(*(part.detach().numpy() for part in (*parts, y)))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        parts = ctx.saved_tensors
        grows, gbias = torch.empty_like(parts[0]), torch.zeros_like(parts[3])
        attend_rows.adjoint(*(part.detach().numpy() for part in (*parts, grads[0].contiguous(), grows, gbias)))
        return grows, gbias, None, None


def _moved(rows: Tensor, new: Tensor, observed: Tensor) -> Tensor:
    """Rows (B W …) up by one, the new one (B …) last, where it was observed."""
    moved = torch.cat([rows[:, 1:], new[:, None].to(rows.dtype)], 1)
    return (
        moved
        if not observed.is_meta and bool(observed.all())
        else torch.where(observed.view(-1, *[1] * (rows.dim() - 1)), moved, rows)
    )
