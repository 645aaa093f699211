"""The report of a comparison: one self-contained page drawn from the tables of its run folder.

No script, no request; every picture is inline with a sentence for those who cannot see it, its data folded in beside it.
"""

import json
from pathlib import Path

import jinja2
import pandas as pd

from forecast.artefact import write_durably
from forecast.errors import InputError
from forecast.report.numbers import number
from forecast.report.sections import SECTIONS, Tables

FILES = ("leaderboard.csv", "forecasts.parquet", "history.parquet", "scores.parquet", "by_lead.csv", "calibration.csv", "cost.csv", "failures.csv")


def read(folder: Path) -> Tables:
    """The tables of a run folder of `forecast compare`."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
        tables = [pd.read_parquet(folder / name) if name.endswith(".parquet") else pd.read_csv(folder / name, keep_default_na=True) for name in FILES]
    except OSError as error:
        raise InputError(f"{folder}: {error.filename or 'a table'} is not there; a report is drawn from the folder of a finished `forecast compare`") from error
    return Tables(summary, *tables)


def write(folder: Path) -> Path:
    """Draw report.html from the tables of a run folder."""
    tables = read(folder)
    sections = [section for make in SECTIONS if (section := make(tables)) is not None]
    s = tables.summary
    return render(
        folder,
        title=f"forecast: {s['data']}",
        overline=f"Comparison of {len(s['models'])} models on {s['data']}",
        verdict=s["verdict"],
        details=s["details"],
        facts=[(name, number(s[key]) if isinstance(s[key], int) else s[key]) for name, key in (("series", "series"), ("cutoffs", "cutoffs"), ("rows ahead", "horizon"), ("season length", "season"), ("clock", "clock"))],
        sections=sections,
        command=s["command"],
        version=s["version"],
        seed=s["seed"],
        created=s["created"],
    )


def render(folder: Path, **content: object) -> Path:
    """Fill the page (see page.html for what it holds) and write it as report.html."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))
    path = folder / "report.html"
    write_durably(path, template.render(content).encode())
    return path
