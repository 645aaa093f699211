"""`forecast watch plan=N`: what N sensors would take, measured on a few of them here and now."""

import time

import numpy as np

from forecast.watch.arrival import Arrival, Rows
from forecast.watch.book import Book
from forecast.watch.history import WIDTH
from forecast.watch.live import Live

FEW, ROUNDS = 500, 6
MINUTE = 60_000_000
PER_ROW = 130  # bytes of SQLite and of the log around a record, with its checksum


def text(scorer: Live, sensors: int, commit: dict[str, object], seed: int) -> str:
    """Memory, disk and speed of so many sensors."""
    few = min(FEW, sensors)
    record, fixed, memory, readings, ready = measured(scorer, few, seed)
    history = WIDTH * 86_400
    return "\n".join(
        [
            f"{sensors:,} sensors of {scorer.name}, measured on {few} simulated ones:",
            f"  memory         {sensors * memory / 1e6:,.0f} MB of states, beside about 500 MB for the program",
            f"  state on disk  {sensors * (record + fixed + 2 * PER_ROW) / 1e6:,.1f} MB, twice: the store and its last good copy",
            f"  each commit    up to {sensors * (record + PER_ROW) / 1e6:,.1f} MB of log",
            f"  scores kept    {history / 1e6:,.1f} MB a day for each sensor of one row a second (commit.keep=DAYS limits them)",
            f"  scoring        {readings:,.0f} readings a second of one processor, parsing and committing not counted",
            f"  warm-up        {scorer.plan.rows} rows each, then {sensors * ready:,.0f} s to estimate all",
        ]
    )


def measured(scorer: Live, few: int, seed: int) -> tuple[float, float, float, float, float]:
    """Bytes of a record, of its fixed part and in memory; readings a second; seconds to get one sensor ready."""
    random = np.random.default_rng(seed)
    book = Book(Arrival(0, 16), scorer)
    who = book.numbers([f"s{i}" for i in range(few)])

    def rows(first: int, count: int) -> Rows:
        times = np.repeat(np.arange(first, first + count) * MINUTE, few)
        return Rows(np.tile(who, count), times, random.normal(size=few * count), np.arange(few * count))

    before = time.process_time()
    scorer.observe(rows(1, scorer.plan.rows))
    ready = (time.process_time() - before) / few
    scorer.observe(rows(scorer.plan.rows + 1, ROUNDS))  # compiled now
    before = time.process_time()
    scorer.observe(rows(scorer.plan.rows + ROUNDS + 1, ROUNDS))
    spent = time.process_time() - before
    record = sum(map(len, book.records(who))) / few
    fixed = sum(len(data) for _, data in scorer.fixed()) / few
    return record, fixed, 2 * (record + fixed), few * ROUNDS / max(spent, 1e-9), ready
