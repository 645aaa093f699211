"""Every law over every member: a member is a file of conf/model/ that does not say `member: false`."""

import importlib
from pathlib import Path

import pytest
import torch
import yaml

from forecast.models.forecaster import Forecaster
from tests.laws.laws import LAWS, NEEDS, SPARES

CONF = Path(__file__).parents[2] / "conf" / "model"
TRAITS = ("scale", "shift", "continuous", "panel", "generative", "trained", "kernel", "covariates")


def members() -> dict[str, str]:
    """Word → class path."""
    files = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
    return {word: content["class"] for word, content in files.items() if content.get("member", True)}


def load(path: str) -> type[Forecaster]:
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def bound() -> list[tuple[str, str]]:
    """Member × law, where the member declares the trait that the law binds."""
    kinds = {word: load(path) for word, path in members().items()}
    return [
        (word, law)
        for word, kind in kinds.items()
        for law in LAWS
        if NEEDS.get(law) is None or (NEEDS[law] in kind.traits and SPARES[law] not in kind.traits)
    ]


@pytest.mark.parametrize(("word", "law"), bound())
def test_law(word: str, law: str) -> None:
    with torch.no_grad():
        LAWS[law](load(members()[word]))


def test_every_trait_has_a_member(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints member × trait; an unknown trait or one that nobody declares is an error."""
    table = {word: load(path).traits for word, path in members().items()}
    with capsys.disabled():
        print("\n" + " " * 18 + " ".join(f"{trait:>10}" for trait in TRAITS))
        for word, traits in table.items():
            print(f"{word:18}" + " ".join(f"{'x' if trait in traits else '.':>10}" for trait in TRAITS))
    declared = frozenset().union(*table.values())
    assert declared == set(TRAITS), declared ^ set(TRAITS)
