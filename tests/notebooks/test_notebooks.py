"""The notebooks run from top to bottom, with the public names alone, and are what jupytext makes a notebook of."""

import ast
import runpy
from pathlib import Path

import jupytext
import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_runs_and_ends_with_what_it_shows(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = runpy.run_path(str(source))
    assert made["table"]["value"].notna().any() and made["ahead"]["q0.5"].notna().all()
    assert "better" in capsys.readouterr().out
    plt.close("all")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_uses_the_public_names_alone(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    froms = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "forecast" in imported
    assert not [name for name in imported + froms if name.startswith("forecast.")]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_is_a_notebook(source: Path) -> None:
    cells = jupytext.read(source).cells
    assert {cell.cell_type for cell in cells} == {"markdown", "code"} and len(cells) > 6
