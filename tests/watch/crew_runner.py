"""One of several watches that share a state folder: python -m tests.watch.crew_runner FOLDER CSV BUCKETS [PAUSE]

PAUSE: seconds that each commit takes longer, so that there is time to kill it.
"""

import logging
import sys
import time
from pathlib import Path

from forecast.watch.crew import Crew, Share
from forecast.watch.leases import Leases, folder_of
from forecast.watch.loop import Loop, Options
from forecast.watch.moving import Moving
from forecast.watch.sinks.jsonl import Jsonl
from forecast.watch.sources.file import File
from forecast.watch.store import Store
from forecast.watch.teller import Telling

LEASE = 1.0


def loop(folder: Path, csv: Path, bucket: int, buckets: int, pause: float = 0.0) -> Loop:
    """The loop of one bucket."""

    def hook(where: str) -> None:
        if where == "begin":
            time.sleep(pause)

    store = Store(folder_of(folder / "state", bucket), hook, alone=False)
    sinks = [Jsonl(folder_of(folder / "state", bucket) / "alerts.jsonl")]
    source = File(csv, follow=False, block=8192)
    return Loop(source, Share(bucket=bucket, buckets=buckets), Moving(), store, sinks, Options(seconds=0.02), Telling())


def main(folder: str, csv: str, buckets: str, pause: str = "0") -> None:
    """Run until all buckets are done."""
    logging.basicConfig(format="%(message)s")
    room, count = Path(folder), int(buckets)
    leases = Leases(room / "state" / "leases.db", count, LEASE)
    Crew(leases, lambda bucket: loop(room, Path(csv), bucket, count, float(pause))).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
