"""The report of a comparison: one self-contained page drawn from the tables of its run folder.

No script, no request; every picture is inline with a sentence for those who cannot see it, its data folded in beside
it.
"""

from pathlib import Path

import jinja2

from forecast.durable import write_durably
from forecast.report import outcomes, ranking, reliability
from forecast.report.numbers import number
from forecast.report.tables import read

SECTIONS = (
    ranking.leaderboard,
    outcomes.fan,
    ranking.ranks,
    ranking.metrics,
    reliability.calibration,
    reliability.by_lead,
    reliability.by_time,
    outcomes.cutoffs,
    ranking.series,
    reliability.residuals,
    ranking.costs,
)
FACTS = {
    "series": "series",
    "channels": "channels",
    "cutoffs": "cutoffs",
    "rows ahead": "horizon",
    "season length": "season",
    "clock": "clock",
}


def write(folder: Path) -> Path:
    """Draw report.html from the tables of a run folder."""
    tables = read(folder)
    s = tables.summary
    return render(
        folder,
        title=f"forecast: {s['data']}",
        overline=f"Comparison of {len(s['models'])} models on {s['data']}",
        verdict=s["verdict"],
        details=s["details"],
        facts=[(name, number(s[key])) for name, key in FACTS.items() if (name, s[key]) != ("channels", 1)],
        sections=[section for make in SECTIONS if (section := make(tables)) is not None],
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
    write_durably(path, template.render(content).encode("utf-8", "replace"))
    return path
