"""What every test may ask for: the folder of real data, a seeded generator, one CPU thread."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401 - the hook below names it

# Floors whose functions are checked on every call; numba compiles those of kernels/ and wants them bare.
SHAPED = ("types", "distribution", "ssm", "series", "layers", "metrics", "models", "detect")
install_import_hook([f"forecast.{floor}" for floor in SHAPED], "tests.shapes.check")

torch.set_num_threads(1)
settings.register_profile("forecast", derandomize=True, deadline=None, max_examples=20)
settings.load_profile("forecast")


@pytest.fixture
def real_data() -> Path:
    """The folder of real data; the test is skipped by name without it."""
    folder = os.environ.get("FORECAST_DATA")
    if not folder:
        pytest.skip("needs the real data: set FORECAST_DATA")
    return Path(folder)


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)
