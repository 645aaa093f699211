"""Made-up tasks that ask one thing of a sequence layer's memory each; every batch is drawn anew.

    delay              the number of half the length ago                                    (share of variance explained)
    adding             the sum of two marked numbers, at the end                            (the same)
    copying            KEPT tokens at the start, said again at the end: time alone decides  (share of tokens that are right)
    selective_copying  the same with the tokens scattered among blanks: content decides
    induction          what followed the mark, when the mark comes again
    recall             PAIRS of key and value, then the keys in another order: their values (MQAR)

Sources: Hochreiter & Schmidhuber (1997) adding; Arjovsky et al. (2016) copying; Gu & Dao (2023) selective copying, induction;
Arora et al. (2023) MQAR. Shapes: rows (B T F); targets (B T), of numbers or of classes, the ones that count where `asked` (B T).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

ALPHABET, KEPT, PAIRS = 8, 8, 4


class Batch(NamedTuple):
    """Sequences and what is asked of them."""

    rows: Tensor
    target: Tensor
    asked: Tensor


class Task(NamedTuple):
    """A task: how a batch is drawn, the columns of a row, the classes of an answer (0: a number), the shortest length."""

    draw: Callable[[int, int, torch.Generator], Batch]
    features: int
    classes: int
    least: int


def _delay(count: int, length: int, generator: torch.Generator) -> Batch:
    x = torch.randn(count, length, generator=generator)
    back = length // 2
    target = torch.cat([torch.zeros(count, back), x[:, :-back]], 1)
    return Batch(x[..., None], target, (torch.arange(length) >= back).expand(count, -1))


def _adding(count: int, length: int, generator: torch.Generator) -> Batch:
    x, marks = torch.rand(count, length, generator=generator), torch.zeros(count, length)
    half = length // 2
    first = torch.randint(0, half, (count, 1), generator=generator)
    second = torch.randint(half, length, (count, 1), generator=generator)
    marks.scatter_(1, first, 1.0).scatter_(1, second, 1.0)
    total = (x * marks).sum(1, keepdim=True).expand(-1, length)
    return Batch(torch.stack([x, marks], -1), total, (torch.arange(length) == length - 1).expand(count, -1))


def _copying(count: int, length: int, generator: torch.Generator) -> Batch:
    return _copied(count, length, torch.arange(KEPT).expand(count, -1), generator)


def _selective(count: int, length: int, generator: torch.Generator) -> Batch:
    places = torch.rand(count, length - KEPT, generator=generator).topk(KEPT, 1).indices.sort(1).values
    return _copied(count, length, places, generator)


def _copied(count: int, length: int, places: Tensor, generator: torch.Generator) -> Batch:
    """Tokens 2 … at the places, blanks (0) between, and at the end as many questions (1)."""
    tokens = torch.randint(0, ALPHABET, (count, KEPT), generator=generator)
    said = torch.zeros(count, length, dtype=torch.int64).scatter(1, places, tokens + 2)
    said[:, -KEPT:] = 1
    target = torch.zeros(count, length, dtype=torch.int64)
    target[:, -KEPT:] = tokens
    return Batch(_one_hot(said, ALPHABET + 2), target, (torch.arange(length) >= length - KEPT).expand(count, -1))


def _induction(count: int, length: int, generator: torch.Generator) -> Batch:
    """Random tokens; the mark stands once among them and again at the end."""
    said = torch.randint(0, ALPHABET, (count, length), generator=generator)
    place = torch.randint(0, length - 2, (count, 1), generator=generator)
    said.scatter_(1, place, ALPHABET)
    said[:, -1] = ALPHABET
    target = said.gather(1, place + 1).expand(-1, length)
    return Batch(_one_hot(said, ALPHABET + 1), target, (torch.arange(length) == length - 1).expand(count, -1))


def _recall(count: int, length: int, generator: torch.Generator) -> Batch:
    """Keys 2 … and values behind them, at the start; the keys again, scattered over the rest among blanks."""
    keys = torch.rand(count, ALPHABET, generator=generator).topk(PAIRS, 1).indices
    values = torch.randint(0, ALPHABET, (count, PAIRS), generator=generator)
    said = torch.zeros(count, length, dtype=torch.int64)
    said[:, 0 : 2 * PAIRS : 2], said[:, 1 : 2 * PAIRS : 2] = keys + 2, values + 2 + ALPHABET
    places = 2 * PAIRS + torch.rand(count, length - 2 * PAIRS, generator=generator).topk(PAIRS, 1).indices
    said = said.scatter(1, places, keys + 2)
    nothing = torch.zeros(count, length, dtype=torch.int64)
    return Batch(
        _one_hot(said, 2 * ALPHABET + 2), nothing.scatter(1, places, values), nothing.scatter(1, places, 1).bool()
    )


def _one_hot(said: Tensor, count: int) -> Tensor:
    return torch.nn.functional.one_hot(said, count).float()


TASKS = {
    "delay": Task(_delay, 1, 0, 2),
    "adding": Task(_adding, 2, 0, 2),
    "copying": Task(_copying, ALPHABET + 2, ALPHABET, 2 * KEPT),
    "selective_copying": Task(_selective, ALPHABET + 2, ALPHABET, 2 * KEPT),
    "induction": Task(_induction, ALPHABET + 1, ALPHABET, 3),
    "recall": Task(_recall, 2 * ALPHABET + 2, ALPHABET, 3 * PAIRS),
}
