"""Watches in processes of their own, killed and started again."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HOOKS = ("begin", "sensors", "written", "committed")


def start(folder: Path, source: dict[str, Any], rows: int = 0, hook: str = "") -> "subprocess.Popen[bytes]":
    words = [str(folder), json.dumps(source), str(rows), *([hook] if hook else [])]
    return subprocess.Popen([sys.executable, "-m", "tests.watch.runner", *words], cwd=ROOT, stderr=subprocess.PIPE)


def run(folder: Path, source: dict[str, Any], rows: int = 0, hook: str = "") -> tuple[int, str]:
    process = start(folder, source, rows, hook)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors.decode()


def killed(folder: Path, source: dict[str, Any], rows: int, times: int, seed: int) -> int:
    """Kill the process `times` times at random moments, inside the commit and elsewhere; then let it come to its end.

    The first kill is inside the first commit, so that a machine too fast for the others sees one at least.
    """
    chance, done = random.Random(seed), 0
    while done < times:
        if done % 2 == 0:
            hook = f"{chance.choice(HOOKS)}:{chance.randint(1, 3) if done else 1}"
            code, _ = run(folder, source, rows, hook)
            done += code == -9
        else:
            process = start(folder, source, rows)
            while not (folder / "state" / "state.db").exists() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(chance.uniform(0.3, 0.9))
            process.kill()
            process.communicate()
            code = process.returncode
            done += code == -9
        if code == 0:  # it came to its end first
            break
    code, errors = run(folder, source, rows)
    assert code == 0, errors
    return done
