"""A file that is named as input: whether it is there, told before anything is imported that could read it."""

import difflib
from pathlib import Path

from forecast.errors import InputError

KINDS = "data.path takes .csv, .csv.gz, .tsv, .parquet and .xlsx"


def existing(path: str) -> Path:
    """The file of this name."""
    file = Path(path)
    if not file.exists():
        raise InputError(f"{path}: no such file{_near(file)}")
    if not file.is_file():
        raise InputError(f"{path}: is not a file; {KINDS}")
    return file


def _near(file: Path) -> str:
    """A hint at a file of nearly this name."""
    there = [f.name for f in file.parent.iterdir()] if file.parent.is_dir() else []
    near = difflib.get_close_matches(file.name, there, n=1)
    return f"; did you mean data.path={file.parent / near[0]}?" if near else ""
