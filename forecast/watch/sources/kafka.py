"""Messages of a Kafka topic. Offsets are kept with the states; the group's own offsets are only told, for others to see.

Every partition is read from the kept offset on. An offset that the broker no longer has is a loss that is said, never skipped in
silence. A message is one reading as JSON; within a partition order is kept, so a sensor's readings belong into one partition.
"""

import logging
import time
from typing import Any

import confluent_kafka as kafka
import numpy as np

from forecast.errors import ForecastError
from forecast.watch.readings import Chunk
from forecast.watch.secrets import secret
from forecast.watch.sources.source import Source

MOST = 5_000
QUIET = 60.0  # seconds between two lines about a broker that is away
GRACE = 20.0  # seconds to learn of the partitions
_log = logging.getLogger("forecast")


class Kafka(Source):
    """Messages of all partitions of one topic."""

    def __init__(
        self,
        topic: str,
        servers: str = "127.0.0.1:9092",
        group: str = "forecast-watch",
        user: str | None = None,
        password_variable: str | None = None,  # name of the variable of the environment that holds the password
        tls: bool = False,
    ) -> None:
        self.topic, self.servers, self.name = topic, servers, f"kafka:{topic}"
        settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "log_level": 0,  # every attempt to connect would be a line; `_away` says it once in a while
            "error_cb": self._away,
            "security.protocol": ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT"),
        }
        if user:
            settings |= {"sasl.mechanism": "PLAIN", "sasl.username": user, "sasl.password": secret(password_variable)}
        self._said = -QUIET
        self.consumer = kafka.Consumer(settings, logger=None)
        self._next: dict[int, int] = {}
        self._part = (0, 1)

    def part(self, bucket: int, buckets: int) -> bool:
        """Every `buckets`-th partition."""
        self._part = (bucket, buckets)
        return True

    def open(self, position: Any) -> list[str]:
        """Stand at the kept offsets; a partition without one is read from its beginning."""
        try:
            partitions = self.consumer.list_topics(self.topic, timeout=GRACE).topics[self.topic].partitions
        except kafka.KafkaException as error:
            raise ForecastError(f"kafka://{self.servers}: {error.args[0].str()}; is the broker up?") from error
        if not partitions:
            raise ForecastError(f"kafka://{self.servers}: no topic {self.topic!r}; make it, or pass source.topic=NAME")
        self._next = {int(p): offset for p, offset in (position or {}).get("next", {}).items()}
        at = [
            kafka.TopicPartition(self.topic, p, self._next.get(p, kafka.OFFSET_BEGINNING))
            for p in partitions
            if p % self._part[1] == self._part[0]
        ]
        self.consumer.assign(at)
        return []

    def poll(self, seconds: float) -> Chunk | None:
        """The next messages."""
        lines, parts = [], []
        for message in self.consumer.consume(MOST, max(seconds, 0.001)):
            error = message.error()
            if error is not None:
                if error.code() == kafka.KafkaError._AUTO_OFFSET_RESET:
                    raise ForecastError(
                        f"kafka://{self.servers}: rows of {self.topic} that were not read are gone ({error.str()}); "
                        "begin anew with another state folder, state=FOLDER"
                    )
                continue
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None:
                continue
            self._next[partition] = offset + 1
            lines.append((message.value() or b"").replace(b"\n", b" ") + b"\n")
            parts.append(partition)
        return Chunk(b"".join(lines), self._position(), parts=np.array(parts)) if lines else None

    def acknowledge(self, position: Any) -> None:
        """Tell the group where we are."""
        at = [kafka.TopicPartition(self.topic, int(p), offset) for p, offset in position["next"].items()]
        self.consumer.commit(offsets=at, asynchronous=True)

    def close(self) -> None:
        """Leave."""
        self.consumer.close()

    def _away(self, error: kafka.KafkaError) -> None:
        """The broker cannot be reached, or can again without our doing: it is tried on and on."""
        if time.monotonic() - self._said >= QUIET:
            self._said = time.monotonic()
            _log.warning("kafka://%s: %s; tried again until it answers", self.servers, error.str())

    def _position(self) -> dict[str, Any]:
        return {"next": {str(p): offset for p, offset in sorted(self._next.items())}}
