"""What a watch does in a second, measured end to end in a process of its own: python -m forecast.watch.measure FOLDER JSON

    prepare   a store of warmed-up sensors in FOLDER/state, and FOLDER/rows.csv: a long CSV, the sensors interleaved
    rate      rows.csv → parse → score → one SQLite transaction (WAL, FULL), as fast as it goes
    soak      sensors that come and go at a given pace, for many minutes: memory and descriptors
    latency   the same rows at a given pace; of each reading the time from when it was due to when it was durable
Every reading is scored. A few sensors are estimated, and the others take their states, since it is the rate that is
measured and not the fit; they stand at different rows, so that what a model does every few rows it does not do for all at
once. What is prepared is prepared by another process than the one that is measured. The answer is one line of JSON.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import torch

from forecast import artefact
from forecast.detect.standard import Standard
from forecast.models.forecaster import Forecaster
from forecast.models.kalman import Kalman
from forecast.watch.arrival import Arrival, Rows
from forecast.watch.book import Book
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.moving import Moving
from forecast.watch.parse import Parser
from forecast.watch.readings import Chunk
from forecast.watch.recent import Recent
from forecast.watch.scorer import Scorer
from forecast.watch.soak import Churning, Looks
from forecast.watch.sources.file import File
from forecast.watch.sources.source import Source
from forecast.watch.store import Commit, Store
from forecast.watch.teller import Telling
from forecast.watch.warmup import Plan

START, MINUTE = 1_700_000_000, 60  # seconds
WARM, SCORED, FEW = 300, 6, 16  # rows of a warm-up, rows scored after it, sensors that are estimated
PHASES = 4  # numbers of rows at which sensors stand
RATE = 1e-5  # false alarms per row
TICK = 0.02  # seconds between the looks at a paced source
HEADER, ROWS, WEIGHTS = b"time,sensor,value\n", "rows.csv", "hybrid.safetensors"


def scorer_of(subject: str, folder: Path) -> Scorer:
    """`moving`; `kalman S`: a local linear trend and a season, S states; `hybrid`: the weights in the folder."""
    if subject == "moving":
        return Moving()
    model: Forecaster
    if subject == "hybrid":
        model = artefact.load(folder / WEIGHTS).model
    else:
        season = int(subject.split()[1]) - 1
        model = Kalman("full", season if season > 1 else 1)
    return Live(subject.split()[0], lambda seasons: model, lambda step: Standard(RATE), Plan(WARM, WARM, 1))


def values(rows: int, sensors: int, warm: int, later: bool = False) -> np.ndarray:
    """Random walks with noise (rows sensors), calm: of FEW sensors while they warm up; later sensor i goes on where i % FEW stood."""
    random = np.random.default_rng(0)
    level = np.cumsum(random.normal(0, 0.05, (warm + SCORED, FEW)), 0)
    if later:
        level = level[-1, np.arange(sensors) % FEW] + np.cumsum(random.normal(0, 0.05, (rows, sensors)), 0)
    return level[:, :sensors] + random.normal(0, 0.5, (rows, sensors))


def names(sensors: int) -> list[str]:
    """What the sensors are called."""
    return [f"plant/s{i:05d}" for i in range(sensors)]


def prepare(folder: Path, subject: str, sensors: int, rows: int) -> dict[str, float]:
    """A store of sensors at the end of their warm-up, and their next rows; bytes of the state of one."""
    made = stock(folder, scorer_of(subject, folder), sensors, WARM)
    (folder / ROWS).write_bytes(HEADER + lines(rows, sensors, WARM))
    return {"state_bytes_per_sensor": made.record + made.fixed}


class Stock(NamedTuple):
    """What one sensor takes: bytes of its record and of what stays, CPU-seconds to get it ready."""

    record: int
    fixed: int
    ready_s: float


def stock(folder: Path, scorer: Scorer, sensors: int, warm: int) -> Stock:
    """A store of sensors at the end of their warm-up of so many rows."""
    few = min(FEW, sensors)
    book = Book(Arrival(0, 16), scorer, Recent())
    who = np.tile(book.numbers(names(few)), warm + SCORED)
    row = np.repeat(np.arange(warm + SCORED), few)
    times = (START + MINUTE * row) * 1_000_000
    all_ = Rows(who, times, values(warm + SCORED, few, warm).reshape(-1), np.arange(len(who)))
    spent = []
    for some in (row < warm, (row >= warm) & (row < warm + SCORED - who % PHASES)):
        part = book.arrival.sort(all_.take(some)).released
        spent.append(timed(lambda part=part: scorer.observe(part))[1])  # type: ignore[misc]
    records, header, fixed = book.records(np.arange(few)), scorer.header(), dict(scorer.fixed())
    store = Store(folder / "state")
    work = Commit(sensors=[(i, name, records[i % few]) for i, name in enumerate(names(sensors))])
    work.fixed = [(i, fixed[i % few]) for i in range(sensors) if fixed]
    work.facts = {"scorer": header} if header is not None else {}
    store.commit(work)
    store.close()
    return Stock(len(records[0]), len(fixed.get(0, b"")), spent[0] / few)


def lines(rows: int, sensors: int, warm: int) -> bytes:
    """The next rows of all sensors as a long CSV without its header."""
    return csv_of(warm + SCORED, values(rows, sensors, warm, later=True))


def warm_up_lines(sensors: int, warm: int) -> bytes:
    """The rows before those of `lines`: those of the few again and again."""
    few = values(warm + SCORED, min(FEW, sensors), warm)
    return csv_of(0, few[:, np.arange(sensors) % few.shape[1]])


def csv_of(first: int, shown: np.ndarray) -> bytes:
    """Lines of values (rows sensors): every sensor once a minute from row `first` on, in an order that is mixed but stays."""
    rows, sensors = shown.shape
    order = np.random.default_rng(1).permutation(sensors)
    table = pa.table(
        {
            "time": np.repeat(START + MINUTE * np.arange(first, first + rows), sensors),
            "sensor": pa.DictionaryArray.from_arrays(np.tile(order, rows).astype(np.int32), names(sensors)).cast("str"),
            "value": shown[:, order].round(4).reshape(-1),
        }
    )
    out = pa.BufferOutputStream()
    pacsv.write_csv(table, out, pacsv.WriteOptions(include_header=False, quoting_style="none"))
    text: bytes = out.getvalue().to_pybytes()
    return text


class Paced(Source):
    """Lines that come at a pace; it notes when each became durable."""

    name = "paced"

    def __init__(self, text: bytes, rate: float) -> None:
        self._lines, self._rate = text.splitlines(keepends=True)[1:], rate
        self._at, self._told, self._begin = 0, 0, time.monotonic()
        self.delays: list[np.ndarray] = []

    def open(self, position: Any) -> list[str]:
        return []

    def poll(self, seconds: float) -> Chunk | None:
        """The lines that are due."""
        if self._at == 0:
            self._begin = time.monotonic()
        until = time.monotonic() + seconds
        while True:
            due = min(int((time.monotonic() - self._begin) * self._rate), len(self._lines))
            if due > self._at:
                text = b"".join(self._lines[self._at : due])
                self._at, first = due, self._at
                ended = due == len(self._lines)
                return Chunk(HEADER + text if first == 0 else text, due, ended=ended)
            if time.monotonic() >= until:
                return None
            time.sleep(TICK)

    def acknowledge(self, position: Any) -> None:
        """All lines before `position` are durable now."""
        due = self._begin + np.arange(self._told, position) / self._rate
        self.delays.append(time.monotonic() - due)
        self._told = position


def loop(folder: Path, subject: str, source: Source) -> Loop:
    """The loop over a store that `prepare` made."""
    return Loop(source, Parser(), scorer_of(subject, folder), Store(folder / "state"), [], Options(), Telling())


def rate(folder: Path, subject: str, sensors: int, rows: int) -> dict[str, float]:
    """Readings a second of the wall and of the processor, and memory."""
    watch, fsync = loop(folder, subject, File(folder / ROWS, follow=False)), fsync_ms(folder)
    wall, cpu = timed(watch.run)
    count = watch.counts["scored"]
    if count != rows * sensors:
        raise RuntimeError(f"{count} of {rows * sensors} readings were scored: {watch.counts.plain()}")
    return {
        "readings_per_s": count / wall,
        "readings_per_cpu_s": count / cpu,
        "peak_memory_mb": peak_mb(),
        "fsync_ms": fsync,
    }


def latency(folder: Path, subject: str, pace: float) -> dict[str, float]:
    """Milliseconds from a reading to its commit, median and 99th percentile."""
    paced = Paced((folder / ROWS).read_bytes(), pace)
    watch = loop(folder, subject, paced)
    wall, cpu = timed(watch.run)
    delays = 1e3 * np.concatenate(paced.delays)
    median, late = np.percentile(delays, [50, 99])
    return {
        "latency_p50_ms": float(median),
        "latency_p99_ms": float(late),
        "paced_readings_per_s": len(delays) / wall,
        "paced_processor_share": cpu / wall,
    }


def soak(folder: Path, subject: str, sensors: int, pace: float, minutes: float) -> dict[str, float]:
    """Memory and descriptors over many minutes in which sensors come and go."""
    level = values(1, sensors, WARM, later=True)[0]
    source = Churning(names(sensors), START + MINUTE * (WARM + SCORED), level, pace, 60 * minutes)
    watch = Loop(
        source, Parser(), scorer_of(subject, folder), Store(folder / "state"), [], Options(keep=0.5), Telling()
    )
    looks = Looks()
    looks.start()
    while not watch.turn(Options.seconds):
        pass
    found = looks.stop()  # before files are closed
    watch.commit()
    watch.close()
    return found | {"readings": float(watch.counts["scored"])}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the wall and of the processor, all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def fsync_ms(folder: Path, times: int = 100) -> float:
    """Median milliseconds to make 4 kB durable on the disk of a folder."""
    spent, path = [], folder / "fsync"
    with open(path, "wb", buffering=0) as file:
        for _ in range(times):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            spent.append(time.perf_counter() - begin)
    path.unlink()
    return 1e3 * float(np.median(spent))


def peak_mb() -> float:
    """Peak of the resident memory of this process in MB; NaN where the system does not say."""
    status = Path("/proc/self/status")
    found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
    return float(found[0].split()[1]) / 1024 if found else float("nan")


def main(folder: str, asked: str) -> None:
    """One step: {case: prepare | rate | latency | soak, and its arguments}."""
    torch.set_num_threads(1)
    given = json.loads(asked)
    cases: dict[str, Callable[..., dict[str, float]]] = {
        "prepare": prepare,
        "rate": rate,
        "latency": latency,
        "soak": soak,
    }
    case = cases[given.pop("case")]
    if case is not prepare:
        first = Path(folder) / "first"  # loads and compiles
        first.mkdir(parents=True)
        if (Path(folder) / WEIGHTS).exists():
            shutil.copy(Path(folder) / WEIGHTS, first)
        prepare(first, given["subject"], 20, 3)
        rate(first, given["subject"], 20, 3)
        shutil.rmtree(first)
    print(json.dumps(case(Path(folder), **given)))


if __name__ == "__main__":
    main(*sys.argv[1:])
