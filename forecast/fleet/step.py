"""One step of a watch over the rows of some sensors, their states given and taken as bytes: what Spark does for each batch.

    rows + records before → verdicts + records after
The rows of a batch are put in the order of their times first, because an engine hands them over in no order; batches come one
after the other. The records are those of `forecast.watch.book`, whole: nothing is kept apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch

from forecast.errors import InputError
from forecast.experiment.detectors import build as build_detector
from forecast.experiment.members import Facts, member
from forecast.models.forecaster import Forecaster
from forecast.series.maintenance import Maintenance
from forecast.watch.arrival import Arrival, Rows
from forecast.watch.book import Book
from forecast.watch.live import Live
from forecast.watch.trained import estimated
from forecast.watch.warmup import Plan

DAY = 86_400e6  # microseconds
NUMBERS = ("value", "expected", "lower", "upper", "score", "surprise")
COLUMNS = ("sensor", "time", *NUMBERS, "alarm", "kind", "aside")


@dataclass(frozen=True)
class Watching:
    """How the sensors are watched."""

    model: str | Mapping[str, Any] = "kalman"
    detector: str | Mapping[str, Any] = "standard"
    false_alarms_per_day: float = 0.1  # of each sensor
    warmup: int = 300  # rows
    season: int | None = None  # rows; None: found in each sensor's warm-up, 1: none
    lateness: float = 0.0  # seconds that a row may come in a later batch than a newer one of its sensor
    columns: tuple[str, ...] = ("time", "sensor", "value")  # of the lines
    delimiter: str = ","
    maintenance: (
        Maintenance | Sequence[Any]
    ) = ()  # windows, or files of them, that are read where this is made; times in UTC unless they say so

    def __post_init__(self) -> None:
        if not isinstance(self.maintenance, Maintenance):
            object.__setattr__(self, "maintenance", Maintenance.read(self.maintenance))

    @property
    def windows(self) -> Maintenance:
        """The windows of maintenance."""
        assert isinstance(self.maintenance, Maintenance)
        return self.maintenance

    def scorer(self) -> Live:
        """A scorer without sensors."""
        one = member(self.model)

        def model(seasons: tuple[int, ...]) -> Forecaster:
            facts = Facts(seasons[0] if seasons else 1, seasons, 1, 0, 0)
            return estimated(one.label, one.build(horizon=1, facts=facts))

        def detector(step: float) -> Any:
            rate = self.false_alarms_per_day * step / DAY
            if not 0 < rate < 0.5:
                raise InputError(f"{self.false_alarms_per_day} false alarms a day are {rate:.3g} a row; ask for fewer")
            return build_detector(self.detector, rate)

        plan = Plan(self.warmup, max(self.warmup, Plan().longest), self.season)
        return Live(one.label, model, detector, plan, windows=self.windows)


class Memory(Protocol):
    """Where the records of a bucket lie between batches."""

    def header(self) -> bytes | None:
        """What all sensors share."""

    def keep_header(self, header: bytes) -> None:
        """A new one."""

    def record(self, sensor: str) -> bytes | None:
        """The state of a sensor."""

    def keep(self, sensor: str, record: bytes) -> None:
        """Its state after this batch."""


def step(rows: pd.DataFrame, memory: Memory, watching: Watching) -> pd.DataFrame:
    """COLUMNS of the rows (sensor, time in microseconds, value, aside) of one batch."""
    torch.set_num_threads(1)
    odd = rows[rows["aside"].notna()]
    fine = rows[rows["aside"].isna()].sort_values(["sensor", "time", "value"], kind="stable", ignore_index=True)
    if fine.empty:
        return _table(odd, {})
    book = _book(fine["sensor"].unique().tolist(), memory, watching)
    code, labels = pd.factorize(fine["sensor"])
    who = book.who(labels.tolist(), code.astype(np.int64))
    taken = book.arrival.sort(Rows(who, fine["time"].to_numpy(), fine["value"].to_numpy(), np.arange(len(fine))))
    scored = book.scorer.observe(taken.released)
    muted = watching.windows.muted(book.names, taken.released.who, taken.released.time)
    scored = scored._replace(alarm=scored.alarm & ~muted)
    book.count(taken.released.who, scored.alarm)
    _keep(book, memory)
    refused = pd.concat(
        [fine.iloc[taken.late].assign(aside="late"), fine.iloc[taken.repeated].assign(aside="repeated")]
    )
    names, kinds = np.array(book.names, dtype=object), np.array(book.scorer.kinds, dtype=object)
    found = {"sensor": names[taken.released.who], "time": taken.released.time, "value": taken.released.value}
    found |= {name: getattr(scored, name) for name in (*NUMBERS[1:], "alarm")}
    return _table(pd.concat([odd, refused]), found | {"kind": np.where(scored.alarm, kinds[scored.kind], "")})


def _book(sensors: list[str], memory: Memory, watching: Watching) -> Book:
    """The sensors of a batch, those that are known with their states."""
    scorer = watching.scorer()
    header = memory.header()
    if header:
        scorer.take_header(header)
    book = Book(Arrival(int(watching.lateness * 1e6), 16), scorer)
    records = {sensor: memory.record(sensor) for sensor in sensors}
    known = {sensor: record for sensor, record in records.items() if record is not None}
    if known:
        book.restore(list(known), list(known.values()), {})
    return book


def _keep(book: Book, memory: Memory) -> None:
    scorer = book.scorer
    assert isinstance(scorer, Live)
    for bank in scorer.banks:
        if not all(bank.moving):  # sensors that are not here must not change their shape later
            bank.moving, bank.news = [True] * len(bank.moving), True
    header = scorer.header()
    if header is not None:
        memory.keep_header(header)
    for sensor, record in zip(book.names, book.records(np.arange(len(book.names))), strict=True):
        memory.keep(sensor, record)


def _table(odd: pd.DataFrame, found: Mapping[str, Any]) -> pd.DataFrame:
    """Verdicts, and behind them the rows that were put aside."""
    good = pd.DataFrame({name: found.get(name, []) for name in COLUMNS if name != "aside"}).assign(aside=None)
    away = odd.reindex(columns=list(COLUMNS)).assign(alarm=False, kind="")
    parts = [part for part in (good, away) if len(part)]
    whole = pd.concat(parts, ignore_index=True) if parts else good
    kinds = {name: "float64" for name in NUMBERS} | {"time": "int64", "alarm": "bool"}
    return whole.astype(kinds)[list(COLUMNS)]
