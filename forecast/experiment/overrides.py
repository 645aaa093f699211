"""What a person types, `VERB [key=value …]`, as overrides that Hydra composes.

Hydra's grammar holds: lists, mappings, quotes, `a=1,2` with -m. Three things are added. Text for a key that holds text
is taken as it stands (`data.path=my file(1).csv`). A key needs no `+`: whether it exists is checked after composition,
against the signatures. A word that chooses a file of a group is checked here, because Hydra's answer to a misspelt one
is a page long.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from forecast.errors import InputError, unknown
from forecast.experiment.data import names
from forecast.experiment.members import CONF

GROUPS = (
    "benchmark",
    "data",
    "detector",
    "experiment",
    "model",
    "sink",
    "source",
    "tracking",
    "trainer",
)  # the folders of conf/
SHAPE = re.compile(r"\+{0,2}([A-Za-z_][\w-]*(?:\.[\w-]+)*)=(.*)", re.DOTALL)


class Word(NamedTuple):
    """One `key=value` as typed."""

    key: str
    value: str

    @property
    def override(self) -> str:
        """The two together."""
        return f"{self.key}={self.value}"


def split(word: str) -> Word:
    """`key=value`, or an error that says what an argument looks like."""
    shape = SHAPE.fullmatch(word)
    if shape is None:
        raise InputError(f"cannot read {word!r}; arguments look like key=value, as in horizon=24 or data.path=my.csv")
    if "_target_" in word:
        raise InputError(f"{word!r}: '_target_' is not allowed; name a member by its word, as in model=ridge")
    if shape[1] == "hydra" or shape[1].startswith("hydra."):
        raise InputError(
            f"{word!r}: Hydra's own settings cannot be set here; --config-dir adds a folder of configurations"
        )
    if shape[1].endswith(".class"):
        raise InputError(f"{word!r}: a class cannot be set; choose a model by its word")
    return Word(shape[1], shape[2])


def holds_text(kind: Any) -> bool:
    """Whether a key of this type takes a word as it stands."""
    return kind in (str, Path) or (str in get_args(kind) and set(get_args(kind)) <= {str, type(None)})


def quoted(word: Word, kind: Any, sweeping: bool) -> Word:
    """The value in quotes if it is text that Hydra's grammar would take apart.

    Of a key inside a group (source.topic=plant/#) the type is not known: it is text where it can be nothing else.
    """
    value = word.value
    if (
        kind is None
        and "." in word.key
        and value[:1] not in ("[", "{", "'", '"')
        and isinstance(_try(word.override), str)
    ):
        kind = str
    if not holds_text(kind) or value == "null" or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\""):
        return word
    if sweeping and not isinstance(_try(word.override), str):
        return word
    return Word(word.key, QuotedString(value, Quote.single).with_quotes())


def _try(override: str) -> Override | str:
    """The override as Hydra reads it, or what it has against it."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        return str(error).partition("\n")[0]


def value(word: Word) -> Any:
    """What the word says, as a plain value."""
    parsed = _try(word.override)
    return parsed if isinstance(parsed, str) else parsed.value()


def jobs(words: Sequence[Word], sweeping: bool) -> list[list[Word]]:
    """The words of every run: one without -m, one for each combination of the values with it."""
    choices: list[list[Word]] = []
    for word in words:
        parsed = _try(word.override)
        if isinstance(parsed, str):
            raise InputError(
                f"cannot read {word.override!r}: {parsed}; put text with other characters in quotes, \"{word.key}='…'\""
            )
        if not parsed.is_sweep_override():
            choices.append([word])
        elif not sweeping:
            hint = f"write {word.key}=[{word.value}] for a list, or add -m for one run each"
            raise InputError(f"{word.override!r} names several values; {hint}")
        elif not parsed.is_discrete_sweep():
            raise InputError(f"{word.override!r}: name the values, as in {word.key}=1,2,3 or {word.key}=range(1,4)")
        else:
            choices.append([Word(word.key, str(value)) for value in parsed.sweep_string_iterator()])
    return [list(job) for job in itertools.product(*choices)]


def groups(overlay: Path | None) -> dict[str, list[str]]:
    """The groups of conf/ and of the user's folder, with the words in each."""
    found: dict[str, set[str]] = {}
    for root in filter(None, (CONF, overlay)):
        for file in root.glob("*/*.yaml"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    return {group: sorted(words) for group, words in sorted(found.items())}


def line(word: Word, choices: dict[str, list[str]]) -> str:
    """The word as Hydra takes it: a choice of a group's file, or a key with the `++` that sets it in any case."""
    if word.key not in choices:
        return f"++{word.override}"
    given = word.value.strip("'\"")
    if given in choices[word.key]:
        return f"{word.key}={given}"
    if word.key != "data":
        raise unknown(word.key, given, choices[word.key])
    if given.partition("/")[0] in names():
        return f"++data.name={given}"
    if Path(given).suffix or "/" in given:
        raise InputError(f"unknown data {given!r}; for a file pass data.path={given}")
    raise unknown("data", given, [*names(), *(word for word in choices["data"] if word != "file")])
