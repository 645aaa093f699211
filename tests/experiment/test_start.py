"""What a verb does not need is not imported by it: told by the modules that are there, never by the time it takes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SLOW = {"lightning", "mlflow", "statsmodels", "sklearn", "hydra", "scipy.stats"}
PICTURES = {"matplotlib", "jinja2", "rich"}
VERBS = {
    "validate": SLOW | {"rich"},
    "detect": SLOW | {"rich"},
    "train": SLOW | {"rich"},
    "compare": SLOW,
    "predict": SLOW | PICTURES,
    "watch": SLOW | PICTURES,
}


def modules(code: str, folder: Path) -> tuple[set[str], str]:
    """The modules that are there after some code in a process of its own, and what it said of errors."""
    ends = "import json, sys\nprint(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ends}"], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1])), done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_the_module_of_a_verb_imports_what_it_needs_alone(verb: str, tmp_path: Path) -> None:
    code = "import importlib\nfrom forecast.experiment import config\nimportlib.import_module(config.module({!r}))"
    there, _ = modules(code.format(verb), tmp_path)
    assert "torch" in there
    assert not VERBS[verb] & there


def test_a_detection_from_end_to_end_trains_nothing_and_imports_no_trainer(tmp_path: Path) -> None:
    values = np.sin(np.arange(300) / 4) + np.random.default_rng(0).normal(size=300) / 9
    (tmp_path / "small.csv").write_text("y\n" + "\n".join(f"{value:.6f}" for value in values) + "\n")
    typed = ["detect", "data.path=small.csv", "model=naive", "false_alarm_rate=0.01", "tracking=none"]
    there, said = modules(f"from forecast.__main__ import main\nassert main({typed}) in (0, 3)", tmp_path)
    assert "matplotlib" in there, said
    assert not {"lightning", "mlflow", "statsmodels", "sklearn"} & there


def test_a_file_that_is_not_there_is_told_before_anything_is_imported_that_could_read_it(tmp_path: Path) -> None:
    code = "from forecast.__main__ import main\nassert main(['compare', 'data.path=pump.csv']) == 2"
    there, said = modules(code, tmp_path)
    assert said.startswith("forecast: pump.csv: no such file")
    assert not {"torch", "pandas", "numpy", "matplotlib"} & there


def test_loading_a_model_from_python_imports_no_trainer_and_no_picture(tmp_path: Path) -> None:
    there, _ = modules("import forecast\nforecast.load", tmp_path)
    assert not ({"lightning", "mlflow", "statsmodels"} | PICTURES) & there
