"""`forecast report`: draw the report of a finished run again from its tables."""

from pathlib import Path

from forecast.durable import write_durably
from forecast.experiment import runs
from forecast.experiment.config import Report
from forecast.report import detection, page, training


def run(config: Report, out: Path) -> int:
    """The verb: the page is made anew in the run's folder, and a copy stands in this one's."""
    folder = runs.find(config.run, Path(config.out), ["compare", "demo", "train", "detect"])
    marks = {training.LOSSES: training.write, detection.SCORES: detection.write}
    path = next((draw for mark, draw in marks.items() if (folder / mark).is_file()), page.write)(folder)
    write_durably(out / "report.html", path.read_bytes())
    print(f"Report: {path}")
    return 0
