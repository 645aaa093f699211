"""What the cells of a row are: its time, its sensor, its values, by what a person says or by the usual names.

One rule for the header of a CSV and for the keys of a JSON line. A reading is called by its sensor, its column, or
`sensor/column` where the sensor has several values or its one value has a name of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from forecast.errors import InputError

TIMES = ("time", "timestamp", "ds", "datetime", "date", "ts", "t")
SENSORS = ("sensor", "unique_id", "item_id", "series", "tag", "device", "id", "name")
VALUES = ("value", "y", "target", "reading", "v")
MEND = {
    "no time": "no column of times known among {names}; pass rows.time=NAME",
    "no sensor": "no column {sensor!r}; pass rows.sensor=NAME, one of {names}",
    "twice": "a column name comes twice; pass rows.columns=[…] with names of their own",
    "no value": "no column of values; pass rows.values=[NAME]",
}


class Unfit(Exception):  # noqa: N818 - no error of ours: a line that is no reading
    """A line that is put aside, and whose it is."""

    def __init__(self, reason: str, sensor: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.sensor = reason, sensor


@dataclass(frozen=True)
class Roles:
    """What a person says of the columns; what is not said is found by the usual names."""

    time: str | None = None  # name of the column of times
    sensor: str | None = None  # name of the column of sensors; null: one of the usual names, or wide rows
    values: tuple[str, ...] = ()  # columns of values; none: `value` in long rows, all others in wide ones
    columns: tuple[str, ...] = ()  # the columns of lines that come without a header
    delimiter: str = ","  # of lines that come without a header


@dataclass(frozen=True)
class Columns:
    """What the cells of a line are."""

    names: tuple[str, ...]
    time: str
    sensor: str | None
    values: tuple[str, ...]
    plain: bool  # whether the one value is called by its sensor alone
    delimiter: str = ","

    def label(self, sensor: str, value: str) -> str:
        """The name of a reading."""
        if not sensor:
            return value
        return sensor if self.plain else f"{sensor}/{value}"


@lru_cache(maxsize=1024)
def found(names: tuple[str, ...], roles: Roles, topic: bool = False) -> Columns:
    """The roles of a row's cells; `topic`: its sensor is named elsewhere. Unfit where there is no time or no value."""
    lower: dict[str, str] = {}
    for name in names:
        lower.setdefault(name.lower(), name)
    time = roles.time or next((lower[word] for word in TIMES if word in lower), None)
    if time is None or time not in names:
        raise Unfit("no time")
    place = roles.sensor or next((lower[word] for word in SENSORS if word in lower), None)
    long = topic or place in names
    rest = [name for name in names if name not in (time, place)]
    usual = [name for name in rest if name.lower() in VALUES] if long else []
    values = tuple(name for name in roles.values if name in rest) or tuple(usual[:1] or rest)
    if not values:
        raise Unfit("no value")
    plain = long and len(values) == 1 and (values[0] in usual or len(roles.values) == 1)
    return Columns(names, time, None if topic or place not in names else place, values, plain)


def of_header(cells: Sequence[str], roles: Roles, where: str, delimiter: str) -> Columns:
    """The columns of a header; where it has none, what to do."""
    names = tuple(cell.strip().lstrip("\ufeff") for cell in cells)
    try:
        columns = found(names, roles)
        if roles.sensor and roles.sensor not in names:
            raise Unfit("no sensor")
        if len(set(names)) < len(names):
            raise Unfit("twice")
    except Unfit as unfit:
        say = MEND[unfit.reason].format(names=", ".join(names), sensor=roles.sensor)
        raise InputError(f"{where!r}: {say}") from unfit
    plain = columns.sensor is not None and len(columns.values) == 1
    return Columns(names, columns.time, columns.sensor, columns.values, plain, delimiter)
