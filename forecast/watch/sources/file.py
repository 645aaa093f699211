"""A file that is read to its end, or followed as it grows.

Only lines that end with a newline count: a half-written last line stays until its end has come. The position holds the byte offset, a
digest of the file's beginning and the bytes before the offset, so that a file is known again after it was renamed, and a file that
was cut or replaced is not taken for it. Followed, a renamed file is read to its end before the new one is begun.
"""

import hashlib
import os
import time
from pathlib import Path
from typing import IO, Any

from forecast.errors import InputError
from forecast.watch.readings import Chunk
from forecast.watch.sources.source import Source

BLOCK = 2_097_152  # bytes read at once
LONGEST = 16 << 20  # bytes of a line
BEGINNING = 1024  # bytes of a file that tell it from others
TAIL = 64  # bytes before the offset that have to be there still
NAP = 0.05  # seconds between looks at a file that does not grow


class File(Source):
    """Lines of one file."""

    def __init__(
        self,
        path: Path,
        follow: bool = True,  # go on as the file grows; false: to its end
        block: int = BLOCK,  # bytes read at once
    ) -> None:
        self.path, self.follow, self.block, self.name = path, follow, block, f"file:{path.name}"
        self._file: IO[bytes] | None = None
        self._offset = 0
        self._tail = b""
        self._skipping = False

    def open(self, position: Any) -> list[str]:
        """Find the file that was read, under its name or another, and stand behind the last line that counted."""
        if not self.path.exists() and not self.follow:
            raise InputError(f"{self.path}: no such file; pass source.path=FILE")
        if position is None:
            self._begin()
            return []
        found = self._known_again(position)
        if found is None:
            self._begin()
            return [
                f"{self.path}: cut or replaced since it was last read; read from its start, rows already scored do not count again"
            ]
        self._file = open(found, "rb")  # noqa: SIM115 - it stays open
        self._offset, self._tail = position["offset"], bytes.fromhex(position["tail"])
        return (
            []
            if found == self.path
            else [f"{self.path}: renamed to {found.name} since it was last read; that one first"]
        )

    def poll(self, seconds: float) -> Chunk | None:
        """The next block of whole lines."""
        until = time.monotonic() + seconds
        while True:
            text = self._read()
            if text:
                return Chunk(text, self._position())
            if not self.follow:
                return Chunk(b"", self._position(), ended=True)
            if not self._renew():
                if time.monotonic() >= until:
                    return None
                time.sleep(min(NAP, seconds))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def part(self, bucket: int, buckets: int) -> bool:
        """Every process reads all lines."""
        return False

    def half(self) -> bytes:
        """What stands after the last newline."""
        return b"" if self._file is None else os.pread(self._file.fileno(), BLOCK, self._offset)

    def _begin(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = open(self.path, "rb") if self.path.exists() else None  # noqa: SIM115 - it stays open
        self._offset, self._tail = 0, b""

    def _read(self) -> bytes:
        if self._file is None:
            return b""
        if self.follow and _before(self._file.fileno(), self._offset) != self._tail:
            self._begin()  # cut and written anew
        size = self.block
        while True:
            data = os.pread(self._file.fileno(), size, self._offset)
            end = data.rfind(b"\n") + 1
            if end or len(data) < size:
                break
            if size >= LONGEST:
                end = size
                data = data[: size - 1] + b"\n"
                break
            size *= 2
        text = data[:end]
        if text:
            self._offset += end
            self._tail = _before(self._file.fileno(), self._offset)
        return text

    def _renew(self) -> bool:
        """At the end of a followed file: was it cut, or has another taken its name? Then begin anew."""
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            return False
        if self._file is None:
            self._begin()
            return True
        mine = os.fstat(self._file.fileno())
        cut = mine.st_size < self._offset or _before(self._file.fileno(), self._offset) != self._tail
        if cut or (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev):
            if not cut and self._read_ahead():
                return True
            self._begin()
            return True
        return False

    def _read_ahead(self) -> bool:
        """Whether the renamed file has grown by a line since."""
        assert self._file is not None
        return b"\n" in os.pread(self._file.fileno(), self.block, self._offset)

    def _position(self) -> dict[str, Any]:
        if self._file is None:
            return {"offset": 0, "tail": "", "beginning": "", "length": 0}
        length = min(BEGINNING, self._offset)
        return {
            "offset": self._offset,
            "tail": self._tail.hex(),
            "beginning": hashlib.sha256(os.pread(self._file.fileno(), length, 0)).hexdigest(),
            "length": length,
        }

    def _known_again(self, position: Any) -> Path | None:
        """The file that the position was taken in: under its own name, or one that begins with it."""
        siblings = sorted(self.path.parent.glob(self.path.name + "*"), key=lambda p: p != self.path)
        return next((path for path in siblings if path.is_file() and _is(path, position)), None)


def _before(descriptor: int, offset: int) -> bytes:
    return os.pread(descriptor, min(TAIL, offset), max(offset - TAIL, 0))


def _is(path: Path, position: Any) -> bool:
    with open(path, "rb") as file:
        beginning = hashlib.sha256(os.pread(file.fileno(), position["length"], 0)).hexdigest()
        tail = _before(file.fileno(), position["offset"]).hex()
    return beginning == position["beginning"] and tail == position["tail"]
