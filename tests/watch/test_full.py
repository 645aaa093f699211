"""A disk that takes no more and a folder that may not be written: said, with an exit code; nothing acknowledged, nothing lost."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from forecast.watch.store import Reader, Store, StoreError
from tests.watch import outcome, plant
from tests.watch.process import ROOT, run

NOBODY = 65_534


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], outcome.Outcome]:
    folder = tmp_path_factory.mktemp("plant")
    plant.write(folder / "plant.csv", 10, 1000, 5)
    source = {"name": "file", "path": str(folder / "plant.csv"), "follow": False, "block": 16_384}
    assert run(folder / "whole", source)[0] == 0
    return source, outcome.of(folder / "whole")


def limited(folder: Path, source: dict[str, Any], kilobytes: int) -> tuple[int, str]:
    """A watch that may write files of so many kilobytes and no more."""
    words = [sys.executable, "-m", "tests.watch.runner", str(folder), json.dumps(source)]
    script = f'ulimit -f {kilobytes}; exec "$@"'
    done = subprocess.run(["bash", "-c", script, "bash", *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


def test_a_disk_that_takes_no_more_stops_it_and_it_goes_on_when_there_is_space(
    stream: tuple[dict[str, Any], outcome.Outcome], tmp_path: Path
) -> None:
    source, whole = stream
    reached = []
    for kilobytes in (200, 350):
        code, errors = limited(tmp_path, source, kilobytes)
        assert code == 1
        assert "the disk cannot be written; " in errors
        assert "free space and start again" in errors
        reader = Reader(tmp_path / "state" / "state.db")
        reached.append(json.loads(reader.fact("watch") or b'{"counts": {"readings": 0}}')["counts"]["readings"])
        reader.close()
    assert 0 <= reached[0] <= reached[1] <= whole.rows
    assert reached[0] < whole.rows
    code, errors = run(tmp_path, source)
    assert code == 0, errors
    assert outcome.of(tmp_path) == whole


def test_a_folder_that_may_not_be_written_is_said() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o555)
        ends = os.pipe()
        child = os.fork()
        if child == 0:  # root may write everywhere: somebody else tries
            said = "it could"
            try:
                if os.geteuid() == 0:
                    os.setuid(NOBODY)
                Store(folder / "state")
            except StoreError as error:
                said = f"{error.exit_code} {error}"
            except BaseException as error:
                said = repr(error)
            os.write(ends[1], said.encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(ends[1])
        with os.fdopen(ends[0]) as pipe:
            assert (
                pipe.read() == f"1 {folder}/state: Permission denied; the state folder has to be writable, state=FOLDER"
            )
        folder.chmod(0o755)
        store = Store(folder / "state")
        store.close()
