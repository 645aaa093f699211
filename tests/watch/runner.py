"""A watch in a process of its own, to be killed: python -m tests.watch.runner FOLDER CSV [hook:count]

With a hook the process kills itself at its count-th passage, as `kill -9` does.
"""

import os
import signal
import sys
from pathlib import Path

from forecast.watch.loop import Loop, Options, Telling
from forecast.watch.parse import Parser
from forecast.watch.sinks.jsonl import Jsonl
from forecast.watch.sources.file import File
from forecast.watch.store import Store
from tests.watch.simple import Ewma

BLOCK = 16_384  # bytes read at once: many commits


def killer(word: str | None):
    """A hook that ends the process."""
    name, _, count = (word or "none:0").partition(":")
    left = [int(count)]

    def hook(where: str) -> None:
        if where == name:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main() -> None:
    """Run to the end of the file."""
    folder, csv = Path(sys.argv[1]), Path(sys.argv[2])
    store = Store(folder / "state", killer(sys.argv[3] if len(sys.argv) > 3 else None))
    options = Options(seconds=0.02, readings=2000)
    Loop(
        File(csv, follow=False, block=BLOCK),
        Parser(),
        Ewma(),
        store,
        [Jsonl(folder / "alerts.jsonl")],
        options,
        Telling(),
    ).run()


if __name__ == "__main__":
    main()
