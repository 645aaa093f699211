"""`forecast watch plan=N`: what N sensors would take, measured on fewer of them here and now.

    disk       the store of up to MOST warmed-up sensors, sensor by sensor
    speed      their next rows end to end, from lines to the commit, in seconds of one processor
    memory     PROGRAM + N · COPIES · bytes of a state
PROGRAM and COPIES were measured once, as the peak of whole processes with 2,000 and with 40,000 sensors (benchmark.suite=watch): what
a state takes in memory is itself, its copies while a block is scored, and its records while a commit is written.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from forecast.watch import measure
from forecast.watch.history import WIDTH
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.measure import HEADER, ROWS, Stock
from forecast.watch.parse import Parser
from forecast.watch.sources.file import File
from forecast.watch.store import Store
from forecast.watch.teller import Telling

MOST, READINGS = 2000, 65_536
PROGRAM, COPIES = 780.0, 3.2  # MB; of the state


class Trial(NamedTuple):
    """What was measured of so many sensors."""

    sensors: int
    stock: Stock
    disk: float  # bytes of the store, of one sensor
    readings: float  # a CPU-second


def text(make: Callable[[], Live], sensors: int, buckets: int | None) -> str:
    """Memory, disk and speed of so many sensors."""
    with tempfile.TemporaryDirectory(prefix="forecast-plan-") as folder:
        _, found = (
            tried(Path(folder) / word, make, few) for word, few in (("compiled", 8), ("timed", min(MOST, sensors)))
        )
    state = found.stock.record + found.stock.fixed
    log = found.stock.record * found.disk / state
    scorer = make()
    return "\n".join(
        [
            f"{sensors:,} sensors of {scorer.name}, measured on {found.sensors:,} simulated ones:",
            f"  memory         {PROGRAM + sensors * COPIES * state / 1e6:,.0f} MB, of which {PROGRAM:,.0f} MB for the program",
            f"  state on disk  {sensors * found.disk / 1e6:,.1f} MB, twice: the store and its last good copy",
            f"  each commit    up to {sensors * log / 1e6:,.1f} MB of log, where every sensor had a row",
            f"  scores kept    {WIDTH * 86_400 / 1e6:,.1f} MB a day for each sensor of one row a second (commit.keep=DAYS limits them)",
            f"  speed          {found.readings:,.0f} readings a second of one processor, from the line to the commit",
            f"  warm-up        {scorer.plan.rows} rows each, then {sensors * found.stock.ready_s:,.0f} s to estimate all",
            f"  processes      {_processes(buckets)}",
        ]
    )


def tried(folder: Path, make: Callable[[], Live], sensors: int) -> Trial:
    """A store of so many sensors, and their next rows."""
    folder.mkdir()
    scorer = make()
    warm = scorer.plan.rows
    made = measure.stock(folder, scorer, sensors, warm)
    disk = (folder / "state" / "state.db").stat().st_size / sensors
    rows = max(READINGS // sensors, 2) if sensors > measure.FEW else 2
    (folder / ROWS).write_bytes(HEADER + measure.lines(rows, sensors, warm))
    source = File(folder / ROWS, follow=False)
    loop = Loop(source, Parser(), make(), Store(folder / "state"), [], Options(), Telling())
    spent = measure.timed(loop.run)[1]
    return Trial(sensors, made, disk, rows * sensors / max(spent, 1e-9))


def _processes(buckets: int | None) -> str:
    """How the work may be split."""
    if buckets is None:
        return "one; buckets=N shares a file or a topic of Kafka among several on this machine"
    return (
        f"up to {buckets} on this machine, one bucket each at least; on several machines they need a shared folder whose locks work "
        "and clocks that agree, which was not tried, or Spark (forecast.fleet)"
    )
