"""The house: floors import downwards only, libraries stay in their rooms, files stay small, nothing loads pickle."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "forecast"
FLOORS = [
    ("types", "errors", "kernels", "classes", "durable"),
    ("ssm", "distribution", "series", "portable"),
    ("layers", "metrics"),
    ("models",),
    ("detect", "artefact"),
    ("experiment", "report", "watch", "serve", "fleet"),
    ("__init__", "__main__"),
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
NEIGHBOURS = {
    ("watch", "experiment"),
    ("serve", "experiment"),
    ("fleet", "experiment"),
    ("serve", "watch"),
    ("fleet", "watch"),
    ("experiment", "report"),
}
NEIGHBOURS |= {
    ("series", "ssm"),
    ("errors", "types"),
    ("artefact", "detect"),
    ("__main__", "__init__"),
    ("classes", "errors"),
}
LIBRARIES = {  # library → rooms or files that may import it
    "pandas": ("series", "metrics", "experiment", "report", "watch", "serve", "fleet", "__init__"),
    "lightning": ("series/windows", "experiment"),
    "hydra": ("experiment", "__main__"),
    "omegaconf": ("experiment", "__main__"),
    "mlflow": ("experiment/tracking",),
    "matplotlib": ("report",),
    "statsmodels": ("models/statsmodels", "metrics/significance"),
    "sklearn": ("detect/baselines", "metrics"),
    "scipy": ("metrics", "detect"),
    "numba": ("kernels",),
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at the top or inside a function, but for type checking alone."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    mine = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "forecast" or len(parts) < 2 or parts[1] not in FLOOR:
            continue
        other = parts[1]
        down = FLOOR[other] < FLOOR[mine]
        assert down or other == mine or (mine, other) in NEIGHBOURS, (
            f"{path.name} imports {name}: {mine} may not know {other}"
        )
        assert not (mine in ("models", "detect") and other == "series"), (
            f"{path.name} imports {name}: models and detectors know no table"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    where = str(path.relative_to(PACKAGE)).removesuffix(".py")
    for name in imports(path):
        allowed = LIBRARIES.get(name.split(".")[0])
        assert allowed is None or where.startswith(allowed), f"{where} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, f"{path.name} has {text.count(chr(10))} lines: a floor or a room is missing"
    assert ast.get_docstring(ast.parse(text)), f"{path.name} has no docstring"
    assert path.stem not in ("utils", "helpers", "common", "base", "core", "components", "misc")


SAFE = re.compile(
    r"\.eval\(\)|SafeLoader"
)  # a module put into evaluation, YAML read by a loader that makes plain values only


def test_nothing_loads_pickle() -> None:
    bad = re.compile(
        r"pickle\.load|joblib\.load|weights_only=False|allow_pickle=True|yaml\.load\(|read_pickle|\beval\(|\bexec\(|hydra\.utils\.instantiate"
    )
    found = [
        f"{p.name}:{n}"
        for p in modules()
        for n, line in enumerate(p.read_text().splitlines(), 1)
        if bad.search(line) and not SAFE.search(line)
    ]
    assert not found, found


def test_help_is_light() -> None:
    """`forecast --help` imports none of the heavy libraries."""
    code = (
        "import sys; sys.argv = ['forecast', '--help']\n"
        "from forecast.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'lightning', 'mlflow', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
