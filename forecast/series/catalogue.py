"""The catalogue: data sets by name, with licence, source, checked files and the protocol of their published tables.

`data/catalogue.json` lists every set and its files; a file's sha256 and size are those of its text, decompressed, so
that a copy is the same whether compressed or not. Files are looked for in the folder that comes with the package, then
in the folders given, as `ett/ETTh1.csv.gz` or `ett/ETTh1.csv`. A file with other content is refused: published figures
belong to these bytes. A name may hold several panels (M3: one per frequency; NAB: one per clock); `load` returns one
Dataset for each.
"""

import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import InputError, unknown

if TYPE_CHECKING:
    from forecast.series.protocol import Dataset


@dataclass(frozen=True)
class File:
    """One file of a data set."""

    path: str  # below a data folder
    size: int  # bytes of its text
    sha256: str  # of its text
    url: str | None = None  # where it can be had in this form; None: only from a mirror of a data folder


@dataclass(frozen=True)
class Entry:
    """What the catalogue knows of a data set."""

    name: str
    title: str
    licence: str
    source: str
    files: tuple[File, ...]


def packaged() -> Path:
    """The folder of data that comes with the package: inside it in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / "data", package.parent / "data") if folder.is_dir())


def catalogue() -> dict[str, Entry]:
    """Every data set by name, in alphabetical order."""
    listed = json.loads((packaged() / "catalogue.json").read_text(encoding="utf-8"))
    return {
        name: Entry(
            name, entry["title"], entry["licence"], entry["source"], tuple(File(**file) for file in entry["files"])
        )
        for name, entry in sorted(listed.items())
    }


def entry_of(name: str) -> Entry:
    """The entry of this name, or an error that suggests one."""
    entries = catalogue()
    if name not in entries:
        raise unknown("data set", name, entries)
    return entries[name]


def find(file: File, folders: Sequence[Path]) -> Path | None:
    """Where a file lies: in the package's folder, else in the first of `folders` that has it."""
    spellings = (file.path, file.path.removesuffix(".gz"))
    paths = (folder / spelling for folder in (packaged(), *folders) for spelling in spellings)
    return next((path for path in paths if path.is_file()), None)


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, whatever its name."""
    with path.open("rb") as raw:
        return raw.read(2) == b"\x1f\x8b"


def checked(path: Path, file: File) -> bytes:
    """The decompressed content of a file; ValueError with a few words where it is not the catalogue's."""
    try:
        with gzip.open(path) if is_packed(path) else path.open("rb") as stream:
            text = stream.read(file.size + 1)  # of a file that grows without end one byte too many is enough
    except (OSError, EOFError) as error:
        raise ValueError(f"cannot be read ({error})") from error
    found = hashlib.sha256(text).hexdigest()
    if found != file.sha256:
        raise ValueError(f"its text has sha256 {found[:16]}…, the catalogue's {file.sha256[:16]}…")
    return text


class Texts:
    """The checked files of a data set, opened by path without the .gz."""

    def __init__(self, entry: Entry, folders: Sequence[Path]) -> None:
        self.entry, self._folders = entry, tuple(folders)
        self._files = {file.path.removesuffix(".gz"): file for file in entry.files}

    def __getitem__(self, path: str) -> io.BytesIO:
        where = find(self._files[path], self._folders)
        if where is None:
            raise self._absent(path)
        try:
            return io.BytesIO(checked(where, self._files[path]))
        except ValueError as error:
            raise InputError(f"{where}: {error}; fetch it again, or read it as it is with data.path={where}") from error

    def paths(self, suffix: str = ".csv") -> list[str]:
        """The paths with this ending, as listed."""
        return [path for path in self._files if path.endswith(suffix)]

    def _absent(self, path: str) -> InputError:
        name = self.entry.name
        looked = ", ".join(str(folder) for folder in self._folders) or "no folder was given"
        way = (
            f"run `forecast fetch name={name}`"
            if all(file.url for file in self.entry.files)
            else "set FORECAST_DATA to a folder that has it"
        )
        return InputError(f"data set {name!r}: {path} is not there (looked in {looked}); {way}")


def load(name: str, folders: Sequence[Path] = (), raw: bool = False) -> tuple["Dataset", ...]:
    """The panels of a data set, each with its protocol and labels.

    With `raw` values and rows stand as in the file, as the published figures want them (`Protocol.raw` says so): a
    stated sentinel is a value, and rows keep their count where times repeat or lack.
    """
    from forecast.series.catalogue_detection import DETECTION
    from forecast.series.catalogue_forecasting import FORECASTING

    return (FORECASTING | DETECTION)[entry_of(name).name](Texts(entry_of(name), folders), raw)
