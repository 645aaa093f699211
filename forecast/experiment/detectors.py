"""The registry of detectors: the words of conf/detector/, built with the false-alarm rate that the verb works out.

build({"name": "standard", "guard": 1e-5}, rate=1e-4) -> Detector
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from forecast import classes
from forecast.detect.detector import Detector
from forecast.errors import InputError, unknown
from forecast.experiment.checks import convert, known_keys, read_yaml
from forecast.experiment.members import CONF, RESERVED


@cache
def words() -> tuple[str, ...]:
    """The words of conf/detector/."""
    return tuple(sorted(file.stem for file in (CONF / "detector").glob("*.yaml")))


def entry(word: str) -> dict[str, Any]:
    """The file of a word."""
    if word not in words():
        raise unknown("detector", word, words())
    return read_yaml(CONF / "detector" / f"{word}.yaml")


def build(detector: str | Mapping[str, Any], rate: float, season: int = 1) -> Detector:
    """The detector of a word, or of a mapping with a `name` and parameters; one that asks for a season gets that of the panel."""
    given = {"name": detector} if isinstance(detector, str) else dict(detector)
    word = str(given.get("name"))
    path = entry(word)["class"]
    if given.get("class", path) != path:
        raise InputError(f"detector.class: {word!r} is {path}; choose a detector by its word: {', '.join(words())}")
    own = entry(word) | given
    settings = {key: value for key, value in own.items() if key not in RESERVED}
    signature = classes.parameters(path)
    known_keys(settings, [name for name in signature if name != "rate"], "detector.")
    values = {name: convert(value, signature[name].type, f"detector.{name}") for name, value in settings.items()}
    if season > 1 and "season" in signature:
        values = {"season": season} | values
    made: Detector = classes.find(path, Detector)(rate=rate, **values)
    return made
