"""forecast fetch: a data set of the catalogue into the cache, what it is and under which licence shown first."""

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from forecast.errors import InputError
from forecast.experiment import data
from forecast.experiment.config import Fetch
from forecast.series.catalogue import catalogue, entry_of, find
from forecast.series.fetch import fetch, terms


def run(config: Fetch, out: Path) -> int:
    """List the catalogue, or fetch one of its data sets."""
    if config.name is None:
        print("\n".join(listing()))
        return 0
    entry = entry_of(config.name)
    print(terms(entry, config.url))
    if not (config.accept or agreed()):
        raise InputError(f"nothing was fetched; to agree: forecast fetch name={entry.name} accept=true")
    for path in download(config):
        print(path)
    return 0


def listing() -> Iterator[str]:
    """A line for every data set: where it is, its size and licence."""
    for entry in catalogue().values():
        here = all(find(file, data.folders()) for file in entry.files)
        size = sum(file.size for file in entry.files) / 2**20
        state = "here" if here else "to fetch" if all(file.url for file in entry.files) else "from a mirror"
        yield f"{entry.name:26} {state:13} {size:7.1f} MB  {entry.title}; licence: {entry.licence}"


def agreed() -> bool:
    """Ask, where there is somebody to ask."""
    return sys.stdin.isatty() and input("Download? [y/N] ").strip().lower() in ("y", "yes")


def download(config: Fetch) -> tuple[Path, ...]:
    """The files of the data set in the cache, with a bar for each that has to be downloaded."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def show(path: str, done: int, total: int) -> None:
            if path not in tasks:
                tasks[path] = bars.add_task(path)
            bars.update(tasks[path], completed=done, total=total or None)

        return fetch(str(config.name), catalogue(), data.cache(), config.url, progress=show)
