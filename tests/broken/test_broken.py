"""Every broken input gives one line with the place and the cause, and every option in that line works as it stands there."""

import re
import shlex
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from forecast.errors import InputError
from forecast.series.read import ReadOptions, understand
from tests.broken.cases import CASES, Case

OVERRIDE = r"(?:'data\.[a-z_]+=[^']*'|data\.[a-z_]+=(?:\[[^\]]*\]|[^\s;,'?\[]+))"
KINDS = get_type_hints(ReadOptions)


def fixes(line: str) -> list[str]:
    """The options named in a line; several with a blank between them belong together."""
    return re.findall(rf"{OVERRIDE}(?: {OVERRIDE})*", line)


def typed(words: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options with those that a person would type: the shell takes the words apart, Hydra the values."""
    out = dict(options)
    for word in shlex.split(words):
        key, _, value = word.removeprefix("data.").partition("=")
        is_text = KINDS[key] is str or {str} < set(get_args(KINDS[key])) <= {str, type(None)}
        out[key] = value if is_text and value != "null" else OverridesParser.create().parse_override(word).value()
    return out


def read(folder: Path, case: Case, options: dict[str, Any]) -> None:
    """Read the case's file to its only panel."""
    given = {"path": str(folder / case.file), **options}
    labels = given.get("labels")
    if labels and labels.endswith(".csv"):
        given["labels"] = str(folder / labels)
    understand(options=ReadOptions.of(**given)).only()


def test_there_are_enough() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_line_with_place_cause_and_cure(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path / case.file)
    with pytest.raises(InputError) as caught:
        read(tmp_path, case, dict(case.options))
    line = str(caught.value)
    assert "\n" not in line
    place = case.at if case.at.startswith("labels") else f"{case.file}{case.at}"
    assert f"{tmp_path}/{place}" + ("" if case.at.startswith(": row") else ":") in f"{line}:", line
    assert case.cause in line, line
    named = fixes(line)
    assert bool(named) == case.mends, line
    for fix in named:
        read(tmp_path, case, typed(fix, dict(case.options)))
