"""Run folders: outputs/<verb>/<time>/, and the link outputs/<verb>/latest to the newest that has come to its end."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from forecast.errors import InputError

LATEST = "latest"
MODEL = "model.safetensors"  # of a training, in its run folder


def new(out: Path, verb: str) -> Path:
    """A new folder, its name the time; two runs in one second get two folders."""
    parent = out / verb
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S")
    for count in range(1, 1000):
        folder = parent / (stamp if count == 1 else f"{stamp}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise InputError(f"{parent}: a thousand runs in one second; pass out=FOLDER for another place")


def finish(folder: Path, parent: Path) -> None:
    """Let `parent`/latest point to `folder`, in one step: whoever follows the link finds the old run or the new one."""
    fresh = parent / f".{LATEST}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(folder, parent))
    os.replace(fresh, parent / LATEST)


def find(run: str, out: Path, verbs: Sequence[str], *, finished: bool = True) -> Path:
    """The folder of a run by its path or as `latest`: the newest of these verbs, a stopped one only on demand."""
    if run != LATEST:
        folder = Path(run)
        if not (folder / "config.yaml").is_file():
            raise InputError(
                f"{run}: not a run folder (no config.yaml in it); name one of {out}/{verbs[0]}/ or pass latest"
            )
        return folder.resolve()
    links = [out / verb / LATEST for verb in verbs]
    found = [link.resolve() for link in links if link.is_dir()] if finished else _all(out, verbs)
    if not found:
        raise InputError(f"no run of {' or '.join(verbs)} in {out}/ yet; run `forecast {verbs[0]}` first")
    return max(found, key=lambda folder: (folder / "config.yaml").stat().st_mtime_ns)


def _all(out: Path, verbs: Sequence[str]) -> list[Path]:
    """Every run folder of these verbs, those of sweeps too."""
    files = [file for verb in verbs for file in (out / verb).rglob("config.yaml") if LATEST not in file.parts]
    return [file.parent.resolve() for file in files]
