"""A record of bytes that knows its kind, its version and whether it is whole.

    magic (4) · version (u16) · kind (u16) · length (u32) · CRC-32 of all the rest (u32) · payload
One flipped bit, or one byte less, is refused. Whole files carry a SHA-256 beside them (`forecast.watch.files`).
"""

import struct
import zlib
from collections.abc import Iterable
from functools import lru_cache

from forecast.errors import ForecastError

MAGIC = b"fcR1"
HEAD = struct.Struct("<4sHHI")
SUM = struct.Struct("<I")
SIZE = HEAD.size + SUM.size


class DamagedError(ForecastError):
    """Something on disk is not what we wrote."""


def seal(payload: bytes, kind: int, version: int) -> bytes:
    """The payload as a record."""
    head, digest = _head(kind, version, len(payload))
    return head + SUM.pack(zlib.crc32(payload, digest)) + payload


@lru_cache(maxsize=1024)
def _head(kind: int, version: int, length: int) -> tuple[bytes, int]:
    """A head and its own checksum."""
    head = HEAD.pack(MAGIC, version, kind, length)
    return head, zlib.crc32(head)


def version_of(record: bytes) -> int:
    """The version that a record names."""
    return int(HEAD.unpack_from(record)[1]) if len(record) >= HEAD.size else 0


def unseal(record: bytes, kind: int, versions: Iterable[int], what: str) -> tuple[int, bytes]:
    """Version and payload of a record of this kind; anything else is refused."""
    if len(record) < SIZE:
        raise DamagedError(f"{what} is damaged: {len(record)} bytes are no record")
    magic, version, found, length = HEAD.unpack_from(record)
    (digest,) = SUM.unpack_from(record, HEAD.size)
    payload = record[SIZE:]
    if (
        magic != MAGIC
        or found != kind
        or length != len(payload)
        or digest != zlib.crc32(payload, zlib.crc32(record[: HEAD.size]))
    ):
        raise DamagedError(f"{what} is damaged: its checksum does not match its content")
    if version not in tuple(versions):
        known = ", ".join(str(v) for v in versions)
        raise DamagedError(f"{what} has version {version}, this program reads {known}; use the program that wrote it")
    return version, payload
