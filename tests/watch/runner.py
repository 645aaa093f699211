"""A watch in a process of its own, to be killed: python -m tests.watch.runner FOLDER SOURCE [ROWS [hook:count]]

SOURCE is what conf/source/ makes a source of, as JSON; its `history` is a file of rows from before the stream, `maintenance` windows, `share` one of
false alarms. The
process stops by itself after ROWS readings (0: when the source ends). With a hook it kills itself at the count-th passage, as `kill -9` does.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from forecast.series.maintenance import Maintenance
from forecast.watch.before import Before
from forecast.watch.build import build
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.readings import Chunk
from forecast.watch.sinks.jsonl import Jsonl
from forecast.watch.store import Store
from forecast.watch.teller import Telling
from tests.watch.simple import Ewma


class Counted(Loop):
    """Stops once every row it was promised has come."""

    rows = 0

    def take(self, chunk: Chunk) -> None:
        super().take(chunk)
        self.look()

    def look(self) -> None:
        """Whether all have come."""
        self.stopping = self.stopping or 0 < self.rows <= self.counts["scored"] + self.counts["without score"]


def killer(word: str) -> Callable[[str], None]:
    """A hook that ends the process."""
    name, _, count = word.partition(":")
    left = [int(count or 0)]

    def hook(where: str) -> None:
        if where == name:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main(folder: str, source: str, rows: str = "0", hook: str = "") -> None:
    """Run to the end."""
    store = Store(Path(folder) / "state", killer(hook))
    options = Options(seconds=0.02, readings=2000)
    sinks = [Jsonl(Path(folder) / "alerts.jsonl")]
    own = json.loads(source)
    history = Before(Path(own.pop("history")), Parser()) if "history" in own else None
    telling = Telling()
    if "share" in own:
        windows = Maintenance.read(own.pop("maintenance"))
        telling = Telling(maintenance=windows, per_row=1e-3, share=own.pop("share"), memory=1000.0)
    loop = Counted(build("source", own), Parser(), Ewma(), store, sinks, options, telling, history)
    loop.rows = int(rows)
    loop.look()
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
