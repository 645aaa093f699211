"""`forecast benchmark=memory`: which layer learns which made-up task of memory, at which length.

Every layer stands in the same frame: embedding, two blocks of it, a linear answer; the same steps of AdamW under one cycle of the rate
on batches drawn anew, and a test on sequences that were not seen. Training ends early where the last hundred batches were right in 99
of 100. A case is a task, its length and the seed; who fails at a length is not asked for a longer one. See `memory_tasks`.
Step sizes of S4, S4D and S5 start where the task's length asks for it: a kernel reaches about 1/Δ rows back.
Source: Gu, Johnson, Timalsina, Rudra & Ré (2022), How to train your HiPPO, on Δ as a timescale.
"""

import math
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from forecast.errors import InputError, unknown
from forecast.experiment import config as configs
from forecast.experiment.benchmark import Results, options
from forecast.experiment.benchmark.memory_tasks import TASKS, Batch, Task
from forecast.layers.blocks import LAYERS, Stack
from forecast.report import tasks
from forecast.report.speed import png

TESTED = 512  # sequences of the test
RIGHT, PATIENCE = 0.99, 100


@dataclass(frozen=True)
class Choice:
    """The keys of conf/benchmark/memory.yaml."""

    tasks: tuple[str, ...]
    layers: tuple[str, ...]
    lengths: tuple[int, ...]
    blocks: int
    width: int
    steps: int
    batch: int
    rate: float
    seeds: int
    climb: float


class Reader(nn.Module):
    """Blocks of one layer and an answer for each row; step sizes start log-uniform between 1/(2 · length) and 1/2."""

    def __init__(self, task: Task, layer: str, blocks: int, width: int, length: int) -> None:
        super().__init__()
        self.stack = Stack(task.features, (layer,) * blocks, width, 0.0)
        for name, weight in self.stack.named_parameters():
            if name.endswith(".log_step"):
                nn.init.uniform_(weight, -math.log(2 * length), -math.log(2))
        self.answer = nn.Linear(width, max(task.classes, 1))

    def forward(self, rows: Tensor) -> Tensor:
        """Answers (B T classes) to rows (B T F)."""
        count, length = rows.shape[:2]
        seen = torch.ones(count, length, dtype=torch.bool)
        y, _ = self.stack(rows, self.stack.initial_state(count), torch.ones(count, length), seen)
        made: Tensor = self.answer(y)
        return made


def run(config: configs.Benchmark, out: Path) -> int:
    """Train and test every layer on every task, say it, and write the table."""
    torch.set_num_threads(1)
    chosen = options(Choice, config)
    for word in chosen.tasks:
        if word not in TASKS:
            raise unknown("task", word, TASKS)
        if min(chosen.lengths, default=0) < TASKS[word].least:
            raise InputError(f"benchmark.lengths: {word} needs sequences of {TASKS[word].least} rows at least")
    for word in chosen.layers:
        if word not in LAYERS:
            raise unknown("layer", word, LAYERS)
    if chosen.seeds < 1:
        raise InputError("benchmark.seeds: at least 1")
    made = Results(out, "memory")
    seeds, lengths = range(config.seed, config.seed + chosen.seeds), sorted(chosen.lengths)
    for seed, (place, length), task, layer in product(seeds, enumerate(lengths), chosen.tasks, chosen.layers):
        case = f"{task} {length} {seed}"
        if made.has(case, layer) or (
            place and share(made, f"{task} {lengths[place - 1]} {seed}", layer) < chosen.climb
        ):
            continue
        right, steps, cpu_s = trial(TASKS[task], layer, length, chosen, seed)
        made.add(case, layer, right=right, steps=steps, cpu_s=cpu_s)
        print(f"{case:26} {layer:18} {right:6.3f} after {steps} steps, {cpu_s:.0f} CPU-s", flush=True)
    (out / "memory.png").write_bytes(png(tasks.solved(made.frame)))
    print(f"Table: {made.file}\nPicture: {out / 'memory.png'}")
    return 0


def share(made: Results, case: str, layer: str) -> float:
    """What was right in a case that was run; less than nothing in one that was left out."""
    return next((row[3] for row in made.rows if row[1:3] == (case, layer) and row[4] == "right"), -1.0)


def trial(task: Task, layer: str, length: int, chosen: Choice, seed: int) -> tuple[float, int, float]:
    """Share that is right in the test, steps of training, CPU-seconds."""
    torch.manual_seed(seed)
    generator, started = torch.Generator().manual_seed(seed), time.process_time()
    model = Reader(task, layer, chosen.blocks, chosen.width, length)
    adam = torch.optim.AdamW(model.parameters(), lr=chosen.rate, weight_decay=0.01, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, chosen.rate, total_steps=max(chosen.steps, 2))
    lately: list[float] = []
    for _ in range(chosen.steps):
        batch = task.draw(chosen.batch, length, generator)
        answers = model(batch.rows)
        adam.zero_grad()
        loss(task, answers, batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        cycle.step()
        lately.append(right(task, answers.detach(), batch))
        if len(lately) >= PATIENCE and sum(lately[-PATIENCE:]) / PATIENCE >= RIGHT:
            break
    with torch.no_grad():
        batch = task.draw(TESTED, length, generator)
        answers = torch.cat([model(rows) for rows in batch.rows.split(chosen.batch)])
    return right(task, answers, batch), len(lately), time.process_time() - started


def loss(task: Task, answers: Tensor, batch: Batch) -> Tensor:
    """Squared error of numbers, cross-entropy of classes, where something is asked."""
    made, target = answers[batch.asked], batch.target[batch.asked]
    if task.classes:
        return nn.functional.cross_entropy(made, target)
    return nn.functional.mse_loss(made[:, 0], target)


def right(task: Task, answers: Tensor, batch: Batch) -> float:
    """Share of the classes that are right; share of the numbers' variance that is explained, 0 at least."""
    made, target = answers[batch.asked], batch.target[batch.asked]
    if task.classes:
        return float((made.argmax(-1) == target).double().mean())
    return max(0.0, 1.0 - float((made[:, 0] - target).square().mean() / target.var(correction=0)))
