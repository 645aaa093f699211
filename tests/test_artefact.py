"""Model files: what is not ours is refused before anything runs."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as write_tensors

from forecast import artefact
from forecast.errors import InputError


def forged(path: Path, **description: object) -> Path:
    """A file with a correct digest whose description is the attacker's."""
    base = {
        "format": artefact.FORMAT,
        "class": "",
        "arguments": {},
        "parameters": {"class": "tuple", "order": [], "parts": {}},
        "state": None,
        "facts": {},
    }
    path.write_bytes(artefact._encode({"weights.w": torch.zeros(1)}, {**base, **description}))
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "os:system",
        "forecast.artefact:os",
        "forecast.artefact.os:mkdir",
        "forecast.artefact:Path",
        "forecast.errors:InputError",
        "forecast.nowhere:Model",
        "forecast.artefact:save",
    ],
)
def test_foreign_classes_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"refused|not a forecaster"):
        artefact.load(forged(tmp_path / "m.safetensors", **{"class": kind}))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for content in (
        b"",
        b"\x80\x04K\x01.",
        struct.pack("<Q", 1 << 40) + b"{}",
        write_tensors({"a": torch.zeros(2)}),
        json.dumps({"a": 1}).encode(),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a model file of ours"):
            artefact.load(path)


def test_newer_formats_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="written in format 99"):
        artefact.load(forged(tmp_path / "m.safetensors", format=99))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.safetensors"):
        artefact.load(tmp_path / "nothing.safetensors")
