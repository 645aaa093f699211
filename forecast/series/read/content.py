"""From a file to its text: sizes capped, compression by content, encoding and damage checked before anything is parsed.

What comes out is UTF-8 without a mark at its start, every line ended by a newline. A last line without one is never
parsed unasked: a file cut in the middle of 12345.75 reads as 12345 or 12.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

from forecast.errors import InputError
from forecast.series.file import KINDS, existing
from forecast.series.read.options import Notes, ReadOptions, count, override

SMALL = 32 << 20  # unpacked bytes below which a high ratio is nothing to fear
FOREIGN = {
    b"PK\x05\x06": "an empty zip archive",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"ARROW1": "an Arrow file",
    b"\x80\x04": "a pickle",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls)",
}
ROW_OPTIONS = "data.bad_rows=drop leaves such rows out"


def load(path: str, options: ReadOptions) -> bytes:
    """The file's bytes, unpacked if they are gzip."""
    file = existing(path)
    size = file.stat().st_size
    if size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")
    if size > options.max_bytes:
        raise InputError(
            f"{path}: has {size} bytes, more than the {options.max_bytes} allowed; data.max_bytes={size} reads it"
        )
    with file.open("rb") as opened:
        packed = opened.read(2) == b"\x1f\x8b"
    return _unpack(file, size, options) if packed else file.read_bytes()


def _unpack(file: Path, size: int, options: ReadOptions) -> bytes:
    """The unpacked bytes; stopped as soon as they are too many."""
    out = bytearray()
    try:
        for piece in _pieces(file):
            out += piece
            if len(out) > options.max_bytes:
                raise InputError(
                    f"{file}: unpacks to more than the {options.max_bytes} bytes allowed; "
                    f"data.max_bytes={10 * options.max_bytes} reads on"
                )
            if len(out) > max(SMALL, options.max_ratio * size):
                raise InputError(
                    f"{file}: unpacks to more than {options.max_ratio:g} times its {size} bytes, like a gzip bomb; "
                    "data.max_ratio=2000 reads it if you trust it"
                )
    except EOFError:
        if options.last_line != "drop" or b"\n" not in out:
            fix = "data.last_line=drop reads its complete lines" if b"\n" in out else "fetch it again"
            raise InputError(f"{file}: the gzip file is cut short; {fix}") from None
    except zlib.error as error:
        raise InputError(f"{file}: the gzip file is damaged ({error}); fetch it again") from None
    if out.startswith(b"\x1f\x8b"):
        raise InputError(f"{file}: is compressed twice; unpack it once")
    return bytes(out)


def _pieces(file: Path) -> Iterator[bytes]:
    """Unpacked pieces of at most a mebibyte, of one gzip member after the other; EOFError where the last one is cut."""
    machine, tail = zlib.decompressobj(31), b""
    with file.open("rb") as opened:
        while tail or (tail := opened.read(1 << 16)):
            machine = zlib.decompressobj(31) if machine.eof else machine
            yield machine.decompress(tail, 1 << 20)
            tail = machine.unused_data.lstrip(b"\0") if machine.eof else machine.unconsumed_tail
    while not machine.eof:
        piece = machine.decompress(b"", 1 << 20)
        if not piece:
            raise EOFError
        yield piece


def text(path: str, data: bytes, options: ReadOptions, notes: Notes) -> bytes:
    """The lines as UTF-8, or one line about what is wrong with them."""
    for magic, what in FOREIGN.items():
        if data.startswith(magic):
            raise InputError(f"{path}: is {what}, not a table; {KINDS}")
    data = _decoded(path, data, options, notes)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data or data.isspace():
        raise InputError(f"{path}: the file holds nothing but blanks")
    data = data if data.endswith(b"\n") else _ended(path, data, options, notes)
    if not data:
        raise InputError(f"{path}: no complete line is in the file")
    if not data.isascii():
        _check_utf8(path, data)
    return _without_nul(path, data, options, notes)


def _decoded(path: str, data: bytes, options: ReadOptions, notes: Notes) -> bytes:
    """The text as UTF-8, if it is text at all."""
    encoding = options.encoding
    if encoding is None and data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
        notes.guess("encoding", encoding, "the mark at its start")
    if encoding is not None:
        try:
            return data.decode(encoding).removeprefix("\ufeff").encode()
        except LookupError:
            raise InputError(
                f"{path}: no encoding is called {encoding!r}; data.encoding=utf-8 is the usual one"
            ) from None
        except UnicodeError as error:
            raise InputError(f"{path}: is not {encoding} ({error}); leave out data.encoding") from None
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:]
    head = data[:65536]
    control = sum(head.count(c) for c in range(1, 32) if c not in b"\t\n\r\f\x1b")
    if head.count(0) * 10 > len(head) or control * 100 > len(head):
        zeros = (("utf-16-le", head[1::2].count(0)), ("utf-16-be", head[::2].count(0)))
        wide = next((name for name, zero in zeros if zero * 3 > len(head)), None)
        hint = f"{override('encoding', wide)} if it is UTF-16" if wide else KINDS
        raise InputError(f"{path}: holds binary data, not text; {hint}")
    return data


def _check_utf8(path: str, data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise InputError(f"{path}:{line}: {what}; data.encoding=cp1252 reads Western European text") from None


def _without_nul(path: str, data: bytes, options: ReadOptions, notes: Notes) -> bytes:
    """The text without the lines that hold NUL bytes, as a disk leaves them that was full or lost power."""
    if 0 not in data:
        return data
    lines = data.split(b"\n")
    bad = [i for i, line in enumerate(lines) if 0 in line]
    place = f"{path}:{bad[0] + 1}: "
    if options.bad_rows == "error":
        raise InputError(f"{place}{count(len(bad), 'line')} with NUL bytes, the file is damaged; {ROW_OPTIONS}")
    for i in bad:
        lines[i] = b""  # an empty line keeps the numbers of those after it
    notes.repair("damaged", len(bad), f"{place}left out {count(len(bad), 'line')} with NUL bytes")
    return b"\n".join(lines)


def _ended(path: str, data: bytes, options: ReadOptions, notes: Notes) -> bytes:
    """The text with its last line ended, or without it, as the user says."""
    place = f"{path}:{data.count(10) + 1}: "
    if options.last_line == "error":
        whole = "data.last_line=keep reads it if it is complete, " if _looks_whole(data) else ""
        raise InputError(
            f"{place}the last line does not end in a newline, so the file may be cut; "
            f"{whole}data.last_line=drop leaves it out"
        )
    done = "kept" if options.last_line == "keep" else "left out"
    notes.repair("last line", 1, f"{place}the last line without a newline was {done}")
    return data + b"\n" if options.last_line == "keep" else data[: data.rfind(b"\n") + 1]


def _looks_whole(data: bytes) -> bool:
    """Whether the last line has as many delimiters as the one before it, and no half letter."""
    *_, before, last = (b"\n" + data[-SMALL:]).rsplit(b"\n", 2)
    return all(before.count(c) == last.count(c) for c in b",;\t|") and last.decode(errors="ignore").encode() == last
