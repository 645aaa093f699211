"""Alerts as messages of a Kafka topic, each delivered once all replicas in step have it.

The key is the id of the event, so that all that is told of an event is in order in one partition; the header `id` has the revision too.
The producer is idempotent: its own retries double nothing, and what a kill doubles has the same key and header.
"""

import json
from typing import Any

import confluent_kafka as kafka

from forecast.errors import ForecastError
from forecast.watch.secrets import secret
from forecast.watch.sinks.sink import Sink


class Kafka(Sink):
    """A topic."""

    def __init__(
        self,
        topic: str = "forecast-alerts",
        servers: str = "127.0.0.1:9092",
        user: str | None = None,
        password_variable: str | None = None,  # name of the variable of the environment that holds the password
        tls: bool = False,
        timeout: float = 10.0,  # seconds for the acknowledgements of a batch
    ) -> None:
        self.topic, self.timeout, self.name = topic, timeout, f"kafka:{servers}/{topic}"
        self.settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": int(timeout * 1000),
            "security.protocol": ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT"),
        }
        if user:
            self.settings |= {
                "sasl.mechanism": "PLAIN",
                "sasl.username": user,
                "sasl.password": secret(password_variable),
            }
        self._producer: kafka.Producer | None = None

    def deliver(self, bodies: list[bytes], at: int) -> int:
        failed: list[str] = []

        def reported(error: kafka.KafkaError | None, _: kafka.Message) -> None:
            if error is not None:
                failed.append(error.str())

        producer = self._producer = self._producer or kafka.Producer(self.settings, logger=None)
        for body in bodies:
            alert = json.loads(body)
            head: dict[str, str | bytes | None] = {"id": f"{alert['id']}-{alert['revision']}"}
            producer.produce(self.topic, body, alert["id"].encode(), headers=head, on_delivery=reported)
        waiting = producer.flush(self.timeout + 1)
        if waiting or failed:
            producer.purge()
            self._producer = None  # a fatal error of an idempotent producer ends it
            raise ForecastError(failed[0] if failed else "not acknowledged in time")
        return at
