"""Time and memory of the sequence layers against length, one thread, in CPU-seconds of this process.

    ns per row and channel = CPU-seconds / (batch · length · width),  the least of some rounds, forward alone and with backward

Every cell runs in a process of its own: its memory is the peak of resident memory above what it had before the pass. Beside our
layers stand causal attention by torch's fused kernel over the whole length, S4D with its kernel laid out in full, and Mamba as
a plain loop; and as a yardstick the time of one fused multiply-add in the cache, which no layer can go below per mode.
A length is left out where the one before it says that a pass would take longer than `most_s`, and said.
Sources of the references: Gu et al. (2022) S4D, listing 1; Gu & Dao (2023) Mamba, Algorithm 2.
"""

import math
import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from forecast.layers.blocks import LAYERS
from forecast.layers.sequence import SequenceLayer
from forecast.report import speed as pictures
from forecast.types import leaves

LENGTHS = (256, 1024, 4096, 16384, 65536)
ROWS = 8192  # of all sequences of a batch together, where one is not longer
ROUNDS, PATIENCE = 5, 10.0  # passes, of which the least counts; seconds of all, or it is one pass
MOST, SHORT = 25, 2.5  # passes where all take no longer than so many seconds
OURS = ("s4d", "s4", "s5", "mamba", "ssd", "gated_delta", "linear_attention", "performer", "window_attention", "lstm")
QUADRATIC = "causal attention"
REFERENCES = (QUADRATIC, "S4D, kernel in full", "Mamba, plain loop")
Pass = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Cell:
    """One layer at one length."""

    layer: str
    length: int
    batch: int
    width: int
    state: int  # numbers of state a channel; 0: it looks at all rows
    forward_ns: float  # per row and channel
    both_ns: float  # with backward
    memory_mb: float  # peak of forward and backward


class CausalAttention(nn.Module):
    """Softmax attention over all earlier rows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads, self.enter, self.out = max(1, width // 16), nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, u: Tensor) -> Tensor:
        q, k, v = self.enter(u).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y: Tensor = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(-2))


class FullKernel(nn.Module):
    """S4D whose kernel is one product with all powers of all poles."""

    def __init__(self, width: int, modes: int = 16) -> None:
        super().__init__()
        self.log_step = nn.Parameter(torch.empty(width).uniform_(math.log(1e-3), math.log(1e-1)))
        self.log_decay = nn.Parameter(torch.full((width, modes), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(modes).expand(width, modes).clone().float())
        self.readout = nn.Parameter(torch.randn(width, modes, 2))

    def forward(self, u: Tensor) -> Tensor:
        a, rows = torch.complex(-self.log_decay.exp(), self.frequency), u.shape[1]
        exponent = a * self.log_step.exp()[:, None]
        c = torch.view_as_complex(self.readout) * (exponent.exp() - 1) / a
        powers = torch.exp(exponent[..., None] * torch.arange(rows))
        kernel = 2 * torch.einsum("dn,dnt->dt", c, powers).real
        spectrum = torch.fft.rfft(u.mT, n=2 * rows) * torch.fft.rfft(kernel, n=2 * rows)
        return torch.fft.irfft(spectrum, n=2 * rows)[..., :rows].mT


class PlainLoop(nn.Module):
    """Mamba row by row."""

    def __init__(self, width: int, modes: int = 16) -> None:
        super().__init__()
        inner, self.rank, self.modes = 2 * width, max(1, math.ceil(width / 16)), modes
        self.enter, self.out = nn.Linear(width, 2 * inner), nn.Linear(inner, width)
        self.select, self.rate = nn.Linear(inner, self.rank + 2 * modes), nn.Linear(self.rank, inner)
        self.log_decay = nn.Parameter(torch.log(torch.arange(1.0, modes + 1)).expand(inner, modes).clone())

    def forward(self, u: Tensor) -> Tensor:
        x, gate = self.enter(u).chunk(2, -1)
        low, b, c = self.select(x).split([self.rank, self.modes, self.modes], -1)
        dt, a = nn.functional.softplus(self.rate(low)), -self.log_decay.exp()
        h, out = u.new_zeros(u.shape[0], *a.shape), []
        for dt_t, x_t, b_t, c_t in zip(dt.unbind(1), x.unbind(1), b.unbind(1), c.unbind(1), strict=True):
            h = torch.exp(dt_t[..., None] * a) * h + (dt_t * x_t)[..., None] * b_t[:, None]
            out.append((h * c_t[:, None]).sum(-1))
        return self.out(torch.stack(out, 1) * nn.functional.silu(gate))


def layer_of(name: str, width: int) -> tuple[nn.Module, Pass]:
    """The module and its pass over regular, fully observed rows."""
    if name in REFERENCES:
        module = (CausalAttention, FullKernel, PlainLoop)[REFERENCES.index(name)](width)
        return module, module
    layer = LAYERS[name](width)

    def whole(u: Tensor) -> Tensor:
        ones = u.new_ones(u.shape[:2])
        y: Tensor = layer(u, layer.initial_state(len(u)), ones, ones.bool())[0]
        return y

    return layer, whole


def measure(name: str, length: int, width: int, rounds: int = ROUNDS) -> Cell:
    """One cell, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module, whole = layer_of(name, width)
    batch = max(1, ROWS // length)
    u = torch.randn(batch, length, width)
    _both(module, whole, u[:1, :64])  # compile and load
    before = _resident(reset=True)
    first = _cpu(lambda: _both(module, whole, u))
    rounds = min(MOST, max(int(SHORT / first), rounds)) if first * rounds <= PATIENCE else 1
    both = min([first, *(_cpu(lambda: _both(module, whole, u)) for _ in range(rounds - 1))])
    memory = _resident() - before
    with torch.no_grad():
        forward = min(_cpu(lambda: whole(u)) for _ in range(rounds))
    each, kept = 1e9 / u.numel(), 0
    if isinstance(module, SequenceLayer):
        kept = sum(leaf.numel() for leaf in leaves(module.initial_state(1))) // width
    return Cell(name, length, batch, width, kept, forward * each, both * each, memory)


def _both(module: nn.Module, whole: Pass, u: Tensor) -> None:
    module.zero_grad()
    whole(u.clone().requires_grad_()).square().mean().backward()


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _resident(reset: bool = False) -> float:
    """Resident memory in MB where the peak is set back, else its peak since then; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return float(lines["VmRSS" if reset else "VmHWM"].split()[0]) / 1024


def yardstick(rounds: int = 200) -> float:
    """ns of a fused multiply-add of float32 in the cache."""
    a, b, c = (torch.randn(4096) for _ in range(3))
    least = min(_cpu(lambda: [torch.addcmul(a, b, c, out=a) for _ in range(100)]) for _ in range(rounds))
    return least / 100 / 4096 * 1e9


def run(out: Path, width: int = 64, lengths: tuple[int, ...] = LENGTHS, most_s: float = 20.0) -> pd.DataFrame:
    """All cells; layers.csv and layers.png in the run folder, the table printed."""
    unit, cells = yardstick(), []
    for name in (*OURS, *REFERENCES):
        seconds = 0.0
        for length in lengths:
            if seconds > most_s:
                print(f"{name}: {length} rows are left out, a pass would take about {seconds:.0f} s")
                break
            cell = _apart(name, length, width)
            if cell is None:
                print(f"{name}: {length} rows do not fit in memory")
                break
            cells.append(cell)
            passed = cell.both_ns * 1e-9 * cell.batch * cell.length * width
            seconds = passed * (4 if cell.batch == 1 else 1) * (4 if name == QUADRATIC else 1)
    table = pd.DataFrame([asdict(cell) | {"forward_in_fma": cell.forward_ns / unit} for cell in cells])
    table.to_csv(out / "layers.csv", index=False)
    (out / "layers.png").write_bytes(pictures.png(pictures.layers(table)))
    print(
        f"{table.round(2).to_string(index=False)}\none fused multiply-add: {unit:.3f} ns\nTable: {out / 'layers.csv'}"
    )
    return table


def _apart(name: str, length: int, width: int) -> Cell | None:
    """A cell in a process of its own; none where that process dies."""
    context: Any = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(theirs, name, length, width))
    process.start()
    theirs.close()
    try:
        cell: Cell = ours.recv()
    except EOFError:
        return None
    finally:
        process.join()
    return cell


def _send(pipe: multiprocessing.connection.Connection, name: str, length: int, width: int) -> None:
    pipe.send(measure(name, length, width))
