"""A Spark watch in a process of its own, to be killed: python -m tests.fleet.runner FOLDER"""

import sys
from pathlib import Path

from forecast import fleet
from tests.fleet.spark import session

WATCHING = fleet.Watching(warmup=60, season=1, false_alarms_per_day=1.0)


def main(folder: str) -> None:
    """Everything that lies in FOLDER/rows, a file in a batch."""
    room = Path(folder)
    query = fleet.watch(session(), room / "rows", room / "scores", room / "checkpoint", WATCHING, buckets=3, files=1)
    query.awaitTermination()


if __name__ == "__main__":
    main(*sys.argv[1:])
