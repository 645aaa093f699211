"""Entries of a Redis stream, read by a consumer group and acknowledged after the commit.

The id of the last entry is kept with the states. At the start what was handed out and not acknowledged is read again, entries up to
the kept id are passed over, and the rest follows. An entry is one reading: its fields (time, sensor, value …), or a single field with JSON.
"""

import json
import time
from typing import Any

import redis

from forecast.errors import ForecastError
from forecast.watch.readings import Chunk
from forecast.watch.secrets import secret
from forecast.watch.sources.source import Source

MOST = 5_000
PAUSE = 1.0  # seconds between attempts while the server is away


class Redis(Source):
    """Entries of one stream."""

    def __init__(
        self,
        stream: str,  # its key
        host: str = "127.0.0.1",
        port: int = 6379,
        group: str = "forecast",
        consumer: str = "watch",  # one process for each
        user: str | None = None,
        password_variable: str | None = None,  # name of the variable of the environment that holds the password
        tls: bool = False,
    ) -> None:
        self.stream, self.group, self.consumer, self.name = stream, group, consumer, f"redis:{stream}"
        self.server = redis.Redis(
            host=host, port=port, username=user, password=secret(password_variable), ssl=tls, socket_timeout=30.0
        )
        self._where = f"redis://{host}:{port}"
        self._last = (0, 0)
        self._pending: str | None = "0"  # where to go on among what was handed out before; None: through with it
        self._open: list[bytes] = []

    def open(self, position: Any) -> list[str]:
        """Join the group, and stand behind the last entry that counted."""
        self._last = (0, 0) if position is None else tuple(position["last"])
        try:
            self.server.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise ForecastError(f"{self._where}: {error}") from error
        except redis.RedisError as error:
            raise ForecastError(f"{self._where}: {error}; is the server up?") from error
        return []

    def poll(self, seconds: float) -> Chunk | None:
        """The next entries."""
        start = ">" if self._pending is None else self._pending
        block = max(int(seconds * 1000), 1) if self._pending is None else None
        try:
            found: Any = self.server.xreadgroup(self.group, self.consumer, {self.stream: start}, MOST, block)
        except redis.ResponseError as error:
            raise ForecastError(f"{self._where}: {error}") from error
        except (redis.ConnectionError, redis.TimeoutError):
            self._pending = "0"
            _wait(seconds)
            return None
        entries = found[0][1] if found else []
        if self._pending is not None:
            self._pending = entries[-1][0].decode() if entries else None
        lines = []
        for identity, fields in entries:
            self._open.append(identity)
            number = _number(identity)
            if number > self._last and fields is not None:
                lines.append(_line(fields))
                self._last = number
        return Chunk(b"".join(lines), {"last": list(self._last)}) if entries else None

    def acknowledge(self, position: Any) -> None:
        """Tell the group that these are done."""
        done = [identity for identity in self._open if _number(identity) <= tuple(position["last"])]
        if not done:
            return
        try:
            self.server.xack(self.stream, self.group, *done)
        except redis.RedisError:
            return  # they stay pending, are read again and passed over
        self._open = [identity for identity in self._open if _number(identity) > tuple(position["last"])]

    def close(self) -> None:
        """Leave."""
        self.server.close()


def _wait(seconds: float) -> None:
    time.sleep(min(max(seconds, 0.05), PAUSE))


def _number(identity: bytes) -> tuple[int, int]:
    first, _, second = identity.partition(b"-")
    return int(first), int(second)


def _line(fields: dict[bytes, bytes]) -> bytes:
    """The fields of an entry as one line of JSON."""
    if len(fields) == 1:
        (only,) = fields.values()
        if only.lstrip()[:1] == b"{":
            return only.replace(b"\n", b" ") + b"\n"
    text = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    return json.dumps(text).encode() + b"\n"
