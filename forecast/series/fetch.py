"""Fetching a data set into a cache: what it is and under which licence first, then file by file, resumable and checked.

A file grows as `<path>.part`; a cut connection goes on where it stopped (HTTP Range), at once while bytes keep coming
and at the next call otherwise. It takes its name only when its text has the catalogue's sha256: written, synced to
disk, renamed. A mirror is the address of a folder laid out like a data folder; it also serves the sets that have no
address of their own.
"""

import contextlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from forecast.errors import ForecastError, InputError, unknown
from forecast.series.catalogue import Entry, File, checked, find, is_packed

CHUNK = 1 << 16
TRIES = 20  # connections to one file while each brings bytes
Tell = Callable[[str], None]
Progress = Callable[[str, int, int], None]  # file, bytes so far, bytes in all (0: not said)


def terms(entry: Entry, mirror: str | None = None) -> str:
    """What a person should know before fetching: title, licence, source, and of every file address, size and sha256."""
    lines = [f"{entry.name}: {entry.title}", f"licence: {entry.licence}", f"source:  {entry.source}"]
    for file in entry.files:
        address = (
            address_of(file, mirror) or "no address known; it can only come from a mirror (url=…) or a data folder"
        )
        lines += [f"{address}", f"    {file.size:,} bytes, sha256 {file.sha256}"]
    return "\n".join(lines)


def address_of(file: File, mirror: str | None = None) -> str | None:
    """Where a file is fetched from."""
    return file.url if mirror is None else f"{mirror.rstrip('/')}/{urllib.parse.quote(file.path)}"


def fetch(
    name: str,
    registry: dict[str, Entry],
    cache: Path,
    mirror: str | None = None,
    tell: Tell = lambda text: None,
    progress: Progress = lambda path, done, total: None,
    timeout: float = 30.0,
) -> tuple[Path, ...]:
    """Fetch the files of a data set into `cache` after telling its terms; those there already are only checked."""
    if name not in registry:
        raise unknown("data set", name, registry)
    entry = registry[name]
    tell(terms(entry, mirror))
    made = []
    for file in entry.files:
        address = address_of(file, mirror)
        there = find(file, [cache])
        if there is not None and _good(there, file):
            made.append(there)
        elif address is None:
            raise InputError(
                f"data set {name!r}: no address is known for {file.path}; "
                "give url= of a mirror, or set FORECAST_DATA to a folder that has it"
            )
        else:
            made.append(_download(address, cache, file, progress, timeout))
    return tuple(made)


def _good(path: Path, file: File) -> bool:
    try:
        checked(path, file)
    except ValueError:
        return False
    return True


def _download(address: str, cache: Path, file: File, progress: Progress, timeout: float) -> Path:
    """The file under its final name, in the form in which it was served."""
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise InputError(f"{address}: only http and https addresses are fetched")
    part = cache / f"{file.path}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        before = _length(part)
        trouble = _attempt(address, part, file, progress, timeout)
        if trouble is None:
            return _accept(part, cache, file, address)
        if _length(part) <= before:
            break
    raise ForecastError(
        f"{address}: stopped after {_length(part):,} bytes ({trouble}); run the same command again to go on from there"
    )


def _attempt(address: str, part: Path, file: File, progress: Progress, timeout: float) -> str | None:
    """One connection; what went wrong, or None when the file is whole."""
    have = _length(part)
    request = urllib.request.Request(address, headers={"User-Agent": "forecast", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with contextlib.closing(urllib.request.urlopen(request, timeout=timeout)) as answer:
            return _receive(answer, part, have, file, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing is left: the part is whole, or another file's
            return None
        return f"the server answered {error.code} {error.reason}"
    except (OSError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def _receive(answer: http.client.HTTPResponse, part: Path, have: int, file: File, progress: Progress) -> str | None:
    """Append what comes to the part; a server that ignores the range sends everything and the part begins anew."""
    if answer.status != 206 or not (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
        have = 0
    longest = 2 * file.size + CHUNK  # not even an incompressible text gets so long
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length else 0
    with part.open("r+b" if have else "wb") as out:
        out.seek(have)
        done = have
        while chunk := answer.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
            progress(file.path, done, total)
            if done > longest:
                break
        out.truncate()
        out.flush()
        os.fsync(out.fileno())
    return "the connection was cut" if done < min(total, longest) else None


def _accept(part: Path, cache: Path, file: File, address: str) -> Path:
    """Check the finished part and give it its name; a wrong one is deleted."""
    try:
        checked(part, file)
    except ValueError as error:
        part.unlink()
        raise InputError(f"{address}: {error}; it is another file and was not kept") from error
    plain = cache / file.path.removesuffix(".gz")
    final = plain.with_name(f"{plain.name}.gz") if is_packed(part) else plain
    part.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return final


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
