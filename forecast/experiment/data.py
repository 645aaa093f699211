"""What `data` names in a configuration: a data set of the catalogue or a file, read to panels.

    load(config.data) -> Source          the only panel, or an error that says how to choose one
    sources(config.data) -> tuple[Source, ...]

A data set of the catalogue is read as its protocol says: of the options only those count that say something about the
series themselves (season, minimum, maximum, integer, calendar); any other is an error, for it would be ignored.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forecast.errors import InputError, unknown
from forecast.series import catalogue

if TYPE_CHECKING:
    from forecast.experiment.config import Data
    from forecast.series.panel import Panel
    from forecast.series.protocol import Dataset, Protocol
    from forecast.series.read import Intake

OF_THE_SERIES = ("season", "minimum", "maximum", "integer", "calendar")


class Source(NamedTuple):
    """A panel with what is known about it."""

    name: str  # that of the data set or of the file; where it has several panels, with what tells them apart
    panel: "Panel"
    intake: "Intake"  # labels, guesses, repairs
    protocol: "Protocol | None"  # None: a file


def cache() -> Path:
    """The folder that `forecast fetch` fills."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "forecast"


def folders() -> tuple[Path, ...]:
    """Where data sets are looked for beside the package's own: FORECAST_DATA, then the cache."""
    given = os.environ.get("FORECAST_DATA")
    return (*([Path(given)] if given else []), cache())


def names() -> list[str]:
    """The data sets of the catalogue."""
    return list(catalogue.catalogue())


def load(data: "Data") -> Source:
    """The only panel."""
    if data.name is None:
        found = _understood(data)
        return _source(found, found.only())
    panels = _of_catalogue(data, data.name)
    if len(panels) > 1:
        parts = [source.name for source in panels]
        raise InputError(f"data={data.name} holds {len(parts)} panels: {', '.join(parts)}; choose one: data={parts[0]}")
    return panels[0]


def sources(data: "Data") -> tuple[Source, ...]:
    """Every panel, one for each clock of a file."""
    if data.name is not None:
        return _of_catalogue(data, data.name)
    found = _understood(data)
    return tuple(_source(found, panel) for panel in found.panels)


def _understood(data: "Data") -> "Intake":
    from forecast.series.read import ReadOptions, understand

    if data.path is None:
        raise InputError("no data; pass data.path=my.csv, or data=NAME (`forecast fetch` lists the names)")
    return understand(options=ReadOptions(**data.options))


def _source(found: "Intake", panel: "Panel") -> Source:
    return Source(Path(found.source).name, panel, found, None)


def _of_catalogue(data: "Data", name: str) -> tuple[Source, ...]:
    from forecast.experiment.config import read_options

    for key, parameter in read_options().items():
        if key not in OF_THE_SERIES and data.options[key] != parameter.default:
            raise InputError(f"data.{key} is for files; data={name} is read as its protocol says")
    found = catalogue.load(name.partition("/")[0], folders())
    if "/" in name:
        if name not in {dataset.name for dataset in found}:
            raise unknown("data", name, [dataset.name for dataset in found])
        found = tuple(dataset for dataset in found if dataset.name == name)
    return tuple(_from_dataset(dataset, data.options["season"], data.options["calendar"]) for dataset in found)


def _from_dataset(dataset: "Dataset", seasons: tuple[int, ...] | None, calendar: tuple[str, ...]) -> Source:
    from forecast.series.calendar import with_calendar
    from forecast.series.read import Intake, Repair

    panel = with_calendar(dataset.panel if seasons is None else replace(dataset.panel, seasons=seasons), calendar)
    repairs = tuple(Repair("note", 1, note) for note in dataset.notes)
    return Source(dataset.name, panel, Intake(dataset.name, (panel,), dataset.labels, (), repairs), dataset.protocol)
