"""Killed anywhere, a training that is resumed ends with the weights of one that was left alone, bit for bit (one CPU thread)."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from forecast.experiment import runs

TRAIN = ("data=elnino", "model=s4d", "horizon=12", "trainer.early_stopping=false", "tracking=none", "model.width=8")


def start(out: Path, *words: str) -> subprocess.Popen[str]:
    """The verb in a process of its own."""
    command = [sys.executable, "-m", "forecast", "train", *words, f"out={out}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process: "subprocess.Popen[str]") -> None:
    said, _ = process.communicate()
    assert process.returncode == 0, said


def weights(out: Path) -> dict[str, bytes]:
    """The final weights as bytes."""
    file = runs.find("latest", out, ["train"]) / "model.safetensors"
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(file).items()}


def kill_and_resume(out: Path, words: tuple[str, ...], checkpoint: int, pause: float) -> bool:
    """Kill a training some time after it has written so many checkpoints, then resume it; whether it was still running."""
    process = start(out, *words)
    seen: set[Path] = set()
    while process.poll() is None and len(seen) < checkpoint:
        seen |= set(out.rglob("epoch-*.ckpt"))
        time.sleep(0.02)
    time.sleep(pause)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if killed:
        finished(start(out, "resume=latest"))
    return killed


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    words = (*TRAIN, "trainer.max_steps=60")
    finished(start(tmp_path / "whole", *words))
    whole = weights(tmp_path / "whole")
    assert kill_and_resume(tmp_path / "killed", words, checkpoint=1, pause=0.0)
    assert weights(tmp_path / "killed") == whole


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_kills_at_random_moments(tmp_path: Path) -> None:
    words = (*TRAIN, "trainer.max_steps=260")
    finished(start(tmp_path / "whole", *words))
    whole, draw = weights(tmp_path / "whole"), random.Random(0)
    kills = 0
    for number in range(10):
        out = tmp_path / str(number)
        kills += kill_and_resume(out, words, draw.randint(0, 5), draw.uniform(0, 2))
        assert weights(out) == whole, f"kill {number}"
    assert kills >= 5
