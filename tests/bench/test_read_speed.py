"""Reading a million rows of ten columns, beside pandas' C reader on the same file. CPU-seconds, one thread."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from forecast.series.read import read_csv

pytestmark = pytest.mark.slow
ROWS, COLUMNS = 1_000_000, 10


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minutely table."""
    path = tmp_path_factory.mktemp("read") / "wide.csv"
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).round(4)
    frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(COLUMNS)])
    frame.insert(0, "ds", pd.date_range("2020-01-01", periods=ROWS, freq="min"))
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("reader", ["ours", "pandas"])
@pytest.mark.benchmark(group="read a million rows", timer=time.process_time)
def test_read(benchmark: BenchmarkFixture, file: Path, reader: str) -> None:
    read: Callable[[Path], Any] = read_csv if reader == "ours" else lambda path: pd.read_csv(path, parse_dates=["ds"])
    made = benchmark.pedantic(read, args=(file,), rounds=3)
    assert len(made.values) == ROWS
