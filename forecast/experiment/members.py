"""The registry of members: words, their classes and their parameters, read without importing the classes.

    Member.build(horizon=24, facts=facts_of(panel)) -> Forecaster
"""

from dataclasses import dataclass
from typing import Any, NamedTuple


class Facts(NamedTuple):
    """What a panel fills in: the constructor parameters of the same names that the user leaves alone."""

    season: int
    seasons: tuple[int, ...]
    channels: int
    inputs: int
    static: int


@dataclass(frozen=True)
class Member:
    """One model of an experiment: the word it is called by, its class and the constructor parameters."""

    label: str  # unique in a list of models: the word, and where a word occurs twice what differs
    word: str
    path: str  # forecast.models.<file>.<Class>, always one of conf/model/
    parameters: dict[str, Any]  # complete, but for those that the panel and the verb fill in
