"""Alerts as Parquet files of a folder, each alert exactly once: the history that a notebook or a warehouse reads.

Alert number n (from 0) is a row of the file n // 10,000. A file is written anew as it grows, whole or not at all; after a kill the same
rows are written over themselves. Moments are microseconds in UTC.
"""

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forecast.durable import write_durably
from forecast.watch.sinks.sink import Sink

ROWS = 10_000
WORDS = ("id", "state", "severity", "sensor", "group", "incident", "kind", "cause", "direction", "model", "text")
MOMENTS = ("start", "end", "onset", "detected_at", "peak_at")
NUMBERS = (
    *("delay_s", "score", "p_value", "actual", "expected", "lower", "upper"),
    *("deviation_abs", "deviation_sigma"),
)
COUNTS = ("revision", "n_points", "n_alarms")
SCHEMA = pa.schema(
    [
        *((word, pa.string()) for word in WORDS),
        *((moment, pa.timestamp("us", "UTC")) for moment in MOMENTS),
        *((number, pa.float64()) for number in NUMBERS),
        *((count, pa.int64()) for count in COUNTS),
        ("muted", pa.bool_()),
    ]
)


class Parquet(Sink):
    """A folder of tables."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, f"parquet:{path}"

    def deliver(self, bodies: list[bytes], at: int) -> int:
        """Rows behind the first `at`, which is the number of alerts delivered."""
        rows = [_row(json.loads(body)) for body in bodies]
        while rows:
            number, kept = divmod(at, ROWS)
            file, here = self.path / f"alerts-{number:06d}.parquet", rows[: ROWS - kept]
            table = pa.Table.from_pylist(here, SCHEMA)
            if kept and file.exists():
                table = pa.concat_tables([pq.read_table(file, schema=SCHEMA).slice(0, kept), table])
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd")
            write_durably(file, buffer.getvalue())
            at, rows = at + len(here), rows[len(here) :]
        return at


def _row(alert: dict[str, Any]) -> dict[str, Any]:
    """The columns of an alert."""
    row = {name: alert.get(name) for name in SCHEMA.names}
    return row | {name: datetime.fromisoformat(alert[name]) for name in MOMENTS if alert.get(name) is not None}
