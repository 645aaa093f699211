"""Lines one at a time, each with a reason of its own where it is no reading: the slow way, and the rule for the fast one."""

import csv
import json
import math
import re
from typing import Any

import numpy as np

from forecast.watch import columns
from forecast.watch.columns import Columns, Roles, Unfit
from forecast.watch.moments import NONE, one_moment
from forecast.watch.readings import EMPTY, MISSING_WORDS, Aside, Readings, Understood
from forecast.watch.zones import Zones

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
LONGEST = 500  # characters of a row that are kept when it is put aside


class Lines:
    """Readings as they are gathered line by line."""

    def __init__(self, roles: Roles, header: Columns | None, zones: Zones) -> None:
        self.roles, self.header, self.zones = roles, header, zones
        self.numbers: dict[str, int] = {}
        self.rows: list[tuple[int, int, float, int]] = []
        self.aside: list[Aside] = []

    def take(self, raw: bytes, number: int, topic: str | None = None) -> None:
        """One line: its readings, or why it has none."""
        row = raw.decode("utf-8", "replace").strip("\r\ufeff ")
        try:
            if b"\0" in raw or "\ufffd" in row:
                raise Unfit("not text")
            if row:
                self._line(row, number, topic)
        except Unfit as unfit:
            self._put_aside(unfit, unfit.sensor, row)

    def _line(self, row: str, number: int, topic: str | None) -> None:
        cells, known = self._apart(row, topic)
        try:
            sheet = known or columns.found(tuple(cells), self.roles, topic is not None)
        except Unfit as unfit:
            raise Unfit(unfit.reason, topic or self._sensor_of(cells)) from unfit
        sensor = topic or ""
        if sheet.sensor is not None:
            sensor = str(cells[sheet.sensor]).strip()
            if not sensor:
                raise Unfit("no sensor")
        stamp, wall = _moment(cells[sheet.time], sensor)
        for name in sheet.values:
            label = sheet.label(sensor, name)
            moment = self.zones.moment(label, stamp, wall)
            try:
                if moment == NONE:
                    raise Unfit("no such hour")
                value = _number(cells[name])
            except Unfit as unfit:
                self._put_aside(unfit, label, row)
                continue
            self.rows.append((self.numbers.setdefault(label, len(self.numbers)), moment, value, number))

    def _apart(self, row: str, topic: str | None) -> tuple[dict[str, Any], Columns | None]:
        """The cells of a row by name, and their roles where a header has told them."""
        if row[0] in "{[":
            return _json(row), None
        if topic is not None and (self.header is None or NUMBER.fullmatch(row)):
            return {"value": row}, None
        if self.header is None:
            raise Unfit("no header")
        cells = next(csv.reader([row], delimiter=self.header.delimiter))
        if len(cells) != len(self.header.names):
            raise Unfit("number of columns")
        return dict(zip(self.header.names, cells, strict=True)), None if topic is not None else self.header

    def _sensor_of(self, cells: dict[str, Any]) -> str | None:
        """Whose a row without a value is."""
        place = self.roles.sensor or next((name for name in cells if name.lower() in columns.SENSORS), None)
        return str(cells.get(place or "", "")).strip() or None

    def _put_aside(self, unfit: Unfit, sensor: str | None, row: str) -> None:
        self.aside.append(Aside(unfit.reason, sensor, row[:LONGEST]))

    def understood(self) -> Understood:
        """All of them as columns."""
        if not self.rows:
            return Understood(EMPTY, self.aside)
        code, time, value, line = zip(*self.rows, strict=True)
        whole = [np.array(column, dtype=np.int64) for column in (code, time, line)]
        readings = Readings(list(self.numbers), whole[0], whole[1], np.array(value, dtype=np.float64), whole[2])
        return Understood(readings, self.aside)


def _number(cell: Any) -> float:
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        word = cell.strip()
        if word.lower() in MISSING_WORDS:
            return math.nan
        if not NUMBER.fullmatch(word):
            raise Unfit("not finite" if word.lower().lstrip("+-") in ("inf", "infinity") else "not a number")
        cell = float(word)
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        raise Unfit("not a number")
    try:
        value = float(cell)
    except OverflowError as error:
        raise Unfit("not finite") from error
    if math.isinf(value):
        raise Unfit("not finite")
    return value


def _moment(cell: Any, sensor: str) -> tuple[int, bool]:
    word = repr(cell) if isinstance(cell, (int, float)) and not isinstance(cell, bool) else cell
    stamp, wall = one_moment(word) if isinstance(word, str) else (NONE, False)
    if stamp == NONE:
        raise Unfit("no readable time", sensor or None)
    return stamp, wall


def _json(row: str) -> dict[str, Any]:
    try:
        cells = json.loads(row)
    except (ValueError, RecursionError) as error:
        raise Unfit("not JSON") from error
    if not isinstance(cells, dict):
        raise Unfit("not a JSON object")
    return cells
