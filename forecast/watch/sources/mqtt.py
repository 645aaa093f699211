"""Messages of an MQTT broker (3.1.1 or 5), each acknowledged after the commit that holds what it led to.

The broker keeps what is not acknowledged (QoS 1, a session that outlives the connection) and sends it again: nothing is lost, and
what comes twice is known by its sensor and time, put aside and counted. A retained message is old and left out. A payload is one
reading as JSON, or a bare number, which is given the time at which it came. The sensor is the topic.
"""

import json
import queue
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from forecast.errors import ForecastError
from forecast.watch.cells import NUMBER
from forecast.watch.readings import Chunk
from forecast.watch.secrets import secret
from forecast.watch.sources.source import Source

MOST = 5_000  # messages in a chunk
UNACKNOWLEDGED = 20_000  # messages that the broker may have on their way to us
GRACE = 10.0  # seconds to get the first connection


class Mqtt(Source):
    """Messages of one subscription."""

    def __init__(
        self,
        topic: str,  # with + and # as MQTT has them
        host: str = "127.0.0.1",
        port: int = 1883,
        client: str = "forecast-watch",  # its name at the broker; one process for each
        user: str | None = None,
        password_variable: str | None = None,  # name of the variable of the environment that holds the password
        tls: bool = False,
        authority: Path | None = None,  # certificate of the authority, where it is not one the system knows
        expiry: int = 604_800,  # seconds that the broker keeps what we have not had
    ) -> None:
        self.topic, self.host, self.port, self.name, self.expiry = topic, host, port, f"mqtt:{topic}", expiry
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client, protocol=paho.MQTTv5, manual_ack=True)
        if user is not None:
            self.client.username_pw_set(user, secret(password_variable))
        if tls or authority:
            self.client.tls_set(None if authority is None else str(authority))
        self.client.reconnect_delay_set(1, 60)
        self._came: queue.Queue[tuple[str, bytes, int, int, int]] = queue.Queue()
        self._open: list[tuple[int, int, int, int]] = []  # number, mid, qos, connection of what is not acknowledged
        self._connection = 0  # numbers of messages mean something within one connection only
        self._count = 0
        self._refused: str | None = None
        self.retained = 0

    def open(self, position: Any) -> list[str]:
        """Connect and take up the session."""
        self._count = 0 if position is None else position["messages"]
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval, properties.ReceiveMaximum = self.expiry, UNACKNOWLEDGED
        self.client.on_connect, self.client.on_message = self._connected, self._message
        try:
            self.client.connect(self.host, self.port, clean_start=False, properties=properties)
        except OSError as error:
            raise ForecastError(
                f"mqtt://{self.host}:{self.port}: {error.strerror or error}; is the broker up?"
            ) from error
        self.client.loop_start()
        return []

    def poll(self, seconds: float) -> Chunk | None:
        """What has come, as soon as something has."""
        if self._refused:
            raise ForecastError(f"mqtt://{self.host}:{self.port}: {self._refused}")
        lines, topics = [], []
        try:
            found = self._came.get(timeout=max(seconds, 1e-3))
            while True:
                topic, payload, mid, qos, connection = found
                if connection == self._connection:  # else it is sent again over this one
                    self._count += 1
                    self._open.append((self._count, mid, qos, connection))
                    lines.append(_line(payload))
                    topics.append(topic)
                if len(lines) >= MOST:
                    break
                found = self._came.get_nowait()
        except queue.Empty:
            pass
        if not lines:
            return None
        return Chunk(b"\n".join(lines) + b"\n", {"messages": self._count}, tuple(topics))

    def acknowledge(self, position: Any) -> None:
        """Tell the broker that these are safe."""
        done = [entry for entry in self._open if entry[0] <= position["messages"]]
        self._open = self._open[len(done) :]
        for _, mid, qos, connection in done:
            if connection == self._connection:
                self.client.ack(mid, qos)

    def close(self) -> None:
        """Leave; the session stays."""
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, client: paho.Client, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            return
        self._connection += 1  # what was open in an old one is sent again
        client.subscribe(self.topic, qos=1)

    def _message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        if message.retain:
            self.retained += 1
            client.ack(message.mid, message.qos)
            return
        self._came.put((message.topic, bytes(message.payload), message.mid, message.qos, self._connection))


def _line(payload: bytes) -> bytes:
    """The payload as one line; a bare number with the time it came."""
    text = payload.strip().replace(b"\n", b" ").replace(b"\r", b" ")
    if NUMBER.fullmatch(text.decode("utf-8", "replace")):
        return json.dumps({"time": time.time_ns() // 1000, "value": float(text)}).encode()
    return text
