"""Reading tables of time series: CSV, Parquet, workbooks and data frames to panels.

    read(path, options) -> tuple[Panel, ...]      one panel for each clock; guesses and repairs in the log
    read_csv(path, **options) -> Panel            the only one, or an error that names the clocks
    read_frame(frame, **options) -> Panel
    understand(path, options) -> Intake           panels, labels, guesses, repairs

What is wrong gets one line: file and line, cause, and the option that mends it. Nothing is left out or changed
without being counted.
"""

from forecast.series.read.intake import Intake, read, read_csv, read_frame, understand
from forecast.series.read.options import Guess, ReadOptions, Repair

__all__ = ["Guess", "Intake", "ReadOptions", "Repair", "read", "read_csv", "read_frame", "understand"]
