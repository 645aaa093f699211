"""Spark, where it is installed, and one line that says how to get it where it is not."""

from typing import Any

from forecast.errors import InputError

BUCKETS = 64


def functions() -> Any:
    """pyspark.sql.functions."""
    try:
        from pyspark.sql import functions as made
    except ImportError as error:
        raise InputError(
            "forecast.fleet needs Spark: pip install 'forecast[spark]', and Java 17 or newer (JAVA_HOME, or java on the PATH)"
        ) from error
    return made


def with_bucket(frame: Any, column: str, buckets: int) -> Any:
    """The frame with a column `bucket`: CRC-32 of a name modulo their number, as `forecast.watch.buckets.bucket_of` has it."""
    if buckets < 1:
        raise InputError(f"buckets={buckets} must be at least 1")
    f = functions()
    name = f.coalesce(f.col(column).cast("string"), f.lit("")).cast("binary")
    return frame.withColumn("bucket", (f.crc32(name) % buckets).cast("int"))


def plain(table: Any) -> Any:
    """A pandas table whose text is Python's own: what concatenation makes of pandas' text in pieces, Spark does not take."""
    text = [name for name, kind in table.dtypes.items() if kind == "str"]
    return table.astype(dict.fromkeys(text, object))
