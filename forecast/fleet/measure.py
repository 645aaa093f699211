"""What a watch on Spark does in a second, in a process of its own: python -m forecast.fleet.measure FOLDER JSON

    warm-up   the first rows of every sensor through Spark: estimated one by one, their records in the state store; not timed
    rate      their next rows, file by file, as fast as they go, with the state store and checkpoint that the first query left
Rows, model and detector are those of `forecast.watch.measure` (Kalman, 2 states). One Java process on CORES cores; every reading is
scored once. What it takes to start Java is not counted, what a query takes to start is. The answer is one line of JSON.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from forecast import fleet
from forecast.errors import ForecastError
from forecast.watch import measure

CORES, BUCKETS, PART = 2, 8, 65_536  # two buckets may fall to one task; lines of a file at most
MODEL = {"name": "kalman", "trend": "full"}
MINUTES = 1440  # rows of a sensor in a day


def session(folder: Path) -> Any:
    """Spark on this machine, silent and on loopback alone; its files in the folder."""
    from pyspark.sql import SparkSession

    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.local.dir": str(folder / "spark"),
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": str(CORES),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    made = SparkSession.builder.master(f"local[{CORES}]").appName("forecast")
    for key, value in settings.items():
        made = made.config(key, value)
    return made.getOrCreate()


def rate(folder: Path, sensors: int, rows: int) -> dict[str, float]:
    """Readings a second of the wall, and of the processors of Java, its workers and this process together."""
    spark = session(folder)
    try:
        _write(folder / "rows", "warm", measure.warm_up_lines(sensors, measure.WARM))
        _pass(spark, folder)
        _write(folder / "rows", "next", measure.lines(rows, sensors, measure.WARM))
        before = processor_s()
        wall, _ = measure.timed(lambda: _pass(spark, folder))
        spent = processor_s() - before
        first = (measure.START + measure.MINUTE * (measure.WARM + measure.SCORED)) * 1_000_000
        scores = spark.read.parquet(str(folder / "scores"))
        count = scores.where(f"time >= {first} AND NOT isnan(score)").count()
    finally:
        spark.stop()
    if count != rows * sensors:
        raise ForecastError(f"{count} of {rows * sensors} readings were scored")
    if spent <= 0:
        raise ForecastError("the processes of Spark were not found, and with them their CPU-seconds")
    return {"readings_per_s": count / wall, "readings_per_cpu_s": count / spent}


def _write(folder: Path, word: str, text: bytes) -> None:
    """Lines as files of at most PART of them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = text.splitlines(keepends=True)
    for low in range(0, len(lines), PART):
        (folder / f"{word}-{low // PART:04d}.csv").write_bytes(b"".join(lines[low : low + PART]))


def _pass(spark: Any, folder: Path) -> None:
    """One query over the files that are new."""
    per_day = measure.RATE * MINUTES
    watching = fleet.Watching(MODEL, false_alarms_per_day=per_day, warmup=measure.WARM, season=1)
    rows, scores, checkpoint = (folder / name for name in ("rows", "scores", "checkpoint"))
    fleet.watch(spark, rows, scores, checkpoint, watching, buckets=BUCKETS).awaitTermination()


def processor_s() -> float:
    """CPU-seconds of this process and all that came from it, those that have ended too; of Linux."""
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, fields = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[number], spent[number] = int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {number for number, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(spent[number] for number in ours)


def main(folder: str, asked: str) -> None:
    """{sensors, rows}."""
    print(json.dumps(rate(Path(folder).resolve(), **json.loads(asked))))


if __name__ == "__main__":
    main(*sys.argv[1:])
