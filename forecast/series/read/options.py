"""How to read a table: every field is a key under `data.`; what is None or empty is guessed, and the guess is printed.

A guess is shown as the very words that would set it (`data.time=ds`); a repair says how many rows it touched and the
first line.
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from forecast.errors import InputError, unknown

# Words for characters that a shell or a config would take apart.
CHARACTERS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "pipe": "|",
    "space": " ",
    "point": ".",
    "apostrophe": "'",
    "none": "",
}
# pandas' old spellings of a step, still in everybody's fingers.
OLD_STEPS = {"H": "h", "T": "min", "S": "s", "L": "ms", "M": "ME", "Q": "QE", "A": "YE", "Y": "YE"}


@dataclass(frozen=True)
class ReadOptions:
    """What the user says about a table of time series."""

    path: str = ""  # CSV, TSV (.gz too), Parquet or XLSX
    layout: Literal["long", "wide", "columns"] | None = (
        None  # long: a row per series and time; wide: columns are channels; columns: series
    )
    id: tuple[str, ...] = ()  # column that names the series, or several that do together
    time: tuple[str, ...] = ()  # column of times, or several to put together (year, month, day)
    target: tuple[str, ...] = ()  # columns to forecast
    observed: tuple[str, ...] = ()  # columns that are known only once observed: modelled, never scored
    inputs: tuple[str, ...] = ()  # columns known in advance, future rows too
    static: tuple[str, ...] = ()  # columns that are constant in a series
    static_path: str | None = None  # table with one row per series to take the static columns from
    calendar: tuple[
        str, ...
    ] = ()  # inputs of the calendar: minute, hour (hour:4 with harmonics), weekday, weekend, month, yearday, holidays:DE
    ignore: tuple[str, ...] = ()  # columns to leave out
    labels: str | None = None  # a 0/1 column, or a file with unique_id,start,end[,kind][,channels]
    categories: Literal["one_hot", "codes"] | None = None  # how text among inputs and static columns becomes numbers
    delimiter: str | None = None  # a character, or comma, semicolon, tab, pipe, space
    quote: str = '"'  # character around text; none for none
    decimal: str | None = None  # point or comma
    thousands: str | None = None  # point, comma, space or apostrophe between groups of three digits
    encoding: str | None = None  # of the text, as utf-8, cp1252, utf-16
    skip: int = 0  # lines above the header
    header: bool | None = None  # whether the first line names the columns
    names: tuple[str, ...] = ()  # names of all columns in place of the file's own
    units: bool | None = None  # whether a line of units stands under the header
    missing: tuple[str, ...] = ()  # more words for a missing value
    format: str | None = None  # of the times, as %d.%m.%Y %H:%M
    dayfirst: bool | None = None  # whether 01/02/2020 is the first of February
    epoch: Literal["s", "ms", "us", "ns", "date", "none"] | None = (
        None  # unit of times that are numbers; date: 20200131; none: integers
    )
    timezone: str | None = None  # zone of times without an offset, as Europe/Berlin; times are shown in it
    clock: str | None = None  # step between rows, as 15min, 1h, D, MS; or irregular
    repeated: Literal["error", "first", "last", "mean"] = "error"  # rows of one series with the same time
    off_clock: Literal["error", "round", "drop"] = "error"  # rows between two ticks of the clock
    bad_rows: Literal["error", "drop"] = "error"  # rows with too many or too few fields, or without a readable time
    last_line: Literal["error", "keep", "drop"] = (
        "error"  # a last line without a newline, for the file may have been cut
    )
    resample: str | None = None  # a longer step to aggregate to, as 1h
    aggregate: Literal["mean", "sum", "last"] = "mean"  # how
    season: tuple[int, ...] | None = None  # season lengths in rows, the leading one first; 1 for none
    minimum: float | None = None  # no forecast below
    maximum: float | None = None  # no forecast above
    integer: bool = False  # forecasts are whole numbers
    max_bytes: int = 4_000_000_000  # refuse to read or unpack more
    max_ratio: float = 200.0  # refuse to unpack more than so many times the file's size

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for option in fields(self):  # words for characters, old spellings of steps, choices that there are
            object.__setattr__(self, option.name, _fitted(option.name, getattr(self, option.name), hints[option.name]))
        if self.resample is not None and self.clock is not None:
            raise InputError("data.resample sets the clock; leave out data.clock")

    @classmethod
    def of(cls, **given: Any) -> "ReadOptions":
        """Options by keyword; a misspelt one gets a suggestion."""
        known = [option.name for option in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown("option", f"data.{name}", [f"data.{k}" for k in known])
        hints = get_type_hints(cls)
        return cls(**{name: _fitted(name, value, hints[name]) for name, value in given.items()})


def _fitted(name: str, value: Any, hint: Any) -> Any:
    """The value as the field's type wants it: a word becomes a tuple of one, a list a tuple, a number a word."""
    kinds = get_args(hint) if type(None) in get_args(hint) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = next(k for k in kinds if k is not type(None))
    if name in ("delimiter", "decimal", "thousands", "quote"):
        return CHARACTERS.get(str(value), str(value))
    if name in ("clock", "resample"):
        return _step(name, str(value))
    if getattr(kind, "__origin__", None) is tuple:
        items = value if isinstance(value, (list, tuple)) else [value]
        return tuple(int(v) if name == "season" else str(v) for v in items)
    if (choices := get_args(kind)) and value not in choices:
        raise unknown(f"data.{name}", str(value), choices)
    return value if choices else kind(value)


def _step(name: str, step: str) -> str:
    """The step in today's spelling, checked."""
    if step == "irregular" and name == "clock":
        return step
    from forecast.series.clock import Step

    shape = re.fullmatch(r"(\d*)([A-Za-z]+(?:-[A-Za-z]{3})?)", step)
    if shape and shape[2] in OLD_STEPS:
        step = shape[1] + OLD_STEPS[shape[2]]
    if step.isdigit():
        return step
    try:
        Step.of(step)
    except ValueError:
        raise InputError(
            f"data.{name}={step} is no step; write for example 15min, 1h, D, B, W-SUN, MS, ME, QS or YS"
        ) from None
    return step


@dataclass(frozen=True)
class Guess:
    """One thing the file did not say."""

    key: str
    value: str | Iterable[str]
    why: str = ""

    def line(self) -> str:
        """`data.time=ds (its name)`."""
        return override(self.key, self.value) + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Repair:
    """What was changed or left out, how often and where first."""

    kind: str
    count: int
    text: str

    def line(self) -> str:
        """One line for a person."""
        return self.text


@dataclass
class Notes:
    """What is gathered while one table is read."""

    guesses: list[Guess] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)

    def guess(self, key: str, value: str | Iterable[str], why: str = "") -> None:
        """Note a guess, once."""
        if all(g.key != key for g in self.guesses):
            self.guesses.append(Guess(key, value, why))

    def repair(self, kind: str, count: int, text: str) -> None:
        """Note a repair, if there was any."""
        if count:
            self.repairs.append(Repair(kind, count, text))


def override(key: str, value: str | Iterable[str]) -> str:
    """`data.key=value` to type as it stands: in quotes where Hydra or the shell would take the value apart."""
    words = {character: word for word, character in CHARACTERS.items()}
    if isinstance(value, str):
        text = words.get(value, value) if key in ("delimiter", "decimal", "thousands", "quote") else value
        return f"data.{key}={text}" if re.fullmatch(r"[\w./:%+-]+", text) else shlex.quote(f"data.{key}={text}")
    items = ",".join(v if _plain(v) or (key == "season" and v.isdigit()) else _quoted(v) for v in value)
    typed = f"data.{key}=[{items}]"
    return typed if re.fullmatch(r"[\w.=\[\],-]+", typed) else shlex.quote(typed)


def _plain(word: str) -> bool:
    """Whether Hydra reads the word as text."""
    special = word.lower() in ("null", "true", "false", "nan", "inf", "infinity")
    return bool(re.fullmatch(r"[A-Za-z_]\w*", word)) and not special


def _quoted(word: str) -> str:
    """The word in Hydra's quotes, where a backslash counts only before a quote, and `${` would refer to another key."""
    escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + ('\\"' if found[2] else ""), word)
    return '"' + escaped.replace("${", "\\${") + '"'


def several(things: list[str], most: int = 5) -> str:
    """`a, b, c and 7 more`."""
    shown = ", ".join(repr(t) for t in things[:most])
    return shown if len(things) <= most else f"{shown} and {len(things) - most} more"


def problem(place: str, what: str, *fixes: str) -> InputError:
    """`pump.csv:8812: what is wrong; data.key=value`: fixes are complete overrides with a word on what they do."""
    return InputError(f"{place}: {what}" + (f"; {' or '.join(fixes)}" if fixes else ""))


def count(number: int, noun: str) -> str:
    """`1 row`, `12 rows`, `2 series`."""
    return f"{number} {noun}" if number == 1 or noun.endswith("s") else f"{number} {noun}s"
