"""A watch on Spark: lines of files in a folder → verdicts, each row once, also after a kill.

    text → the parser of `forecast watch` → hash buckets of sensors → `transformWithStateInPandas`, a state a sensor → Parquet
Spark keeps position, states and what was written in its checkpoint folder: read the output through Spark, which knows which of
its files count. Kafka would be `spark.readStream.format("kafka")` in place of the folder, with Spark's Kafka package on the
class path; that was not run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import InputError
from forecast.fleet.engine import BUCKETS, functions, plain, with_bucket
from forecast.fleet.step import COLUMNS, NUMBERS, Watching, step
from forecast.watch.columns import Roles
from forecast.watch.parse import Parser
from forecast.watch.readings import Chunk

PROVIDER = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
PARSED = "sensor string, time long, value double, aside string"
TYPES = {"sensor": "string", "time": "long", "alarm": "boolean", "kind": "string", "aside": "string"}


def watch(
    spark: Any,
    folder: str | Path,
    out: str | Path,
    checkpoint: str | Path,
    watching: Watching,
    *,
    buckets: int = BUCKETS,
    files: int = 16,
    follow: bool = False,
) -> Any:
    """A started query over the files of a folder (so many in a batch); follow=False: ends when all of them are done."""
    spark.conf.set("spark.sql.streaming.stateStore.providerClass", PROVIDER)
    lines = spark.readStream.option("maxFilesPerTrigger", files).text(str(folder))
    made = scores(lines, watching, buckets).writeStream.format("parquet").outputMode("append")
    made = made.option("path", str(out)).option("checkpointLocation", str(checkpoint))
    return (made if follow else made.trigger(availableNow=True)).start()


def scores(lines: Any, watching: Watching, buckets: int = BUCKETS) -> Any:
    """Verdicts (COLUMNS) of a streaming frame of lines in a column `value`."""
    functions()
    kind = processor()

    def parsed(parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for part in parts:
            yield plain(parse(part["value"].tolist(), watching))

    rows = with_bucket(lines.select("value").mapInPandas(parsed, PARSED), "sensor", buckets)
    schema = ", ".join(f"{name} {TYPES.get(name, 'double')}" for name in COLUMNS)
    assert set(NUMBERS) | set(TYPES) == set(COLUMNS)
    return rows.groupBy("bucket").transformWithStateInPandas(kind(watching), schema, "Append", "None")


def parse(lines: list[str], watching: Watching) -> pd.DataFrame:
    """sensor, time, value and aside (None, or why not) of lines."""
    parser = Parser(Roles(columns=watching.columns, delimiter=watching.delimiter))
    try:
        readings, aside = parser.parse(Chunk("".join(line + "\n" for line in lines).encode(), None))
    except InputError as error:
        raise InputError(f"{error} (fleet: Watching(columns=(…)))") from error
    names = [readings.names[code] for code in readings.code.tolist()]
    fine = pd.DataFrame({"sensor": names, "time": readings.time, "value": readings.value}).assign(aside=None)
    odd = pd.DataFrame([(one.sensor, 0, float("nan"), one.reason) for one in aside], columns=list(fine.columns))
    return pd.concat([part for part in (fine, odd) if len(part)] or [fine], ignore_index=True)


def processor() -> Any:
    """The class that Spark calls for each bucket and batch; made here, since its base comes with Spark."""
    from pyspark.sql.streaming import StatefulProcessor

    class Bucket(StatefulProcessor):  # type: ignore[misc]
        """The records of a bucket's sensors in Spark's state store."""

        def __init__(self, watching: Watching) -> None:
            self.watching = watching

        def init(self, handle: Any) -> None:
            self._header = handle.getValueState("header", "record binary")
            self._records = handle.getMapState("records", "sensor string", "record binary")

        def handleInputRows(self, key: Any, rows: Iterator[pd.DataFrame], timers: Any) -> Iterator[pd.DataFrame]:  # noqa: N802
            parts = list(rows)
            if parts:
                yield plain(step(pd.concat(parts, ignore_index=True), self, self.watching))

        def close(self) -> None:
            pass

        def header(self) -> bytes | None:
            found = self._header.get() if self._header.exists() else None
            return None if found is None else bytes(found[0])

        def keep_header(self, header: bytes) -> None:
            self._header.update((header,))

        def record(self, sensor: str) -> bytes | None:
            found = self._records.getValue((sensor,)) if self._records.containsKey((sensor,)) else None
            return None if found is None else bytes(found[0])

        def keep(self, sensor: str, record: bytes) -> None:
            self._records.updateValue((sensor,), (record,))

    return Bucket
