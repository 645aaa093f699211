"""Brokers on free loopback ports, for as long as a test lasts."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def server(command: list[str], port: int) -> Iterator[int]:
    """A server that listens on this port."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]} (apt-get install mosquitto redis-server)")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def mosquitto(folder: Path, port: int) -> AbstractContextManager[int]:
    """MQTT on loopback, sessions kept in this folder."""
    settings = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "user root",  # started by root it would become another, who may not write into the folder of a test
        "persistence true",
        f"persistence_location {folder}/",
        "max_queued_messages 0",
        "max_inflight_messages 0",
    ]
    (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
    return server(["mosquitto", "-c", str(folder / "mosquitto.conf")], port)


def redis_server(folder: Path, port: int) -> AbstractContextManager[int]:
    """Redis on loopback, with its log in this folder."""
    words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    return server(["redis-server", *words], port)
