"""In which bucket a sensor or a series lies: CRC-32 of its name, modulo their number; the same on every machine, and in Spark."""

import zlib


def bucket_of(name: str, buckets: int) -> int:
    """The bucket of a name."""
    return zlib.crc32(name.encode()) % buckets
