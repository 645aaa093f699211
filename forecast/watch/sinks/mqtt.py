"""Alerts as MQTT messages of QoS 1, each delivered once the broker has acknowledged it.

The payload is the alert; its `id` and `revision` tell one that comes twice. The connection is made when there is something to
send, and made anew after it was lost.
"""

import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from forecast.errors import ForecastError
from forecast.watch.secrets import secret
from forecast.watch.sinks.sink import Sink


class Mqtt(Sink):
    """A topic of a broker (3.1.1 or 5)."""

    def __init__(
        self,
        topic: str = "forecast/alerts",
        host: str = "127.0.0.1",
        port: int = 1883,
        client: str = "",  # its name at the broker; nothing: one is made up
        user: str | None = None,
        password_variable: str | None = None,  # name of the variable of the environment that holds the password
        tls: bool = False,
        authority: Path | None = None,  # certificate of the authority, where it is not one the system knows
        timeout: float = 10.0,  # seconds for the connection and for the acknowledgements of a batch
    ) -> None:
        self.topic, self.host, self.port, self.timeout, self.id = topic, host, port, timeout, client
        self.name = f"mqtt:{host}:{port}/{topic}"
        self.login = None if user is None else (user, secret(password_variable))
        self.tls, self.authority = tls or authority is not None, None if authority is None else str(authority)
        self.client: paho.Client | None = None

    def deliver(self, bodies: list[bytes], at: int) -> int:
        client = self.client = self._connected()
        until = time.monotonic() + self.timeout
        try:
            for info in [client.publish(self.topic, body, qos=1) for body in bodies]:
                info.wait_for_publish(max(until - time.monotonic(), 0.0))
                if not info.is_published():
                    raise ForecastError("not acknowledged in time")
        except (ForecastError, RuntimeError, ValueError):
            self.close()  # what waits inside the client would be sent beside the next attempt
            raise
        return at

    def close(self) -> None:
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()
        self.client = None

    def _connected(self) -> paho.Client:
        """The client of the last time if it is still connected, else a new one."""
        if self.client is not None and self.client.is_connected():
            return self.client
        self.close()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.id, protocol=paho.MQTTv5)
        if self.login is not None:
            client.username_pw_set(*self.login)
        if self.tls:
            client.tls_set(self.authority)
        answered, said = threading.Event(), [""]

        def answer(_: paho.Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
            said[0] = str(reason) if reason.is_failure else ""
            answered.set()

        client.on_connect, client.connect_timeout = answer, self.timeout
        try:
            client.connect(self.host, self.port)
        except OSError as error:
            raise ForecastError(f"cannot be reached ({error.strerror or error})") from error
        client.loop_start()
        if not answered.wait(self.timeout) or said[0]:
            client.disconnect()
            client.loop_stop()
            raise ForecastError(said[0] or "the broker does not answer")
        return client
