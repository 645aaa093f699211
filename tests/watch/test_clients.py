"""The lines of the README: real clients of each broker drive a watch."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.watch import outcome
from tests.watch.brokers import free_port, mosquitto, redis_server
from tests.watch.process import ROOT, run, start
from tests.watch.test_brokers import join

ROWS, SPIKE = 400, "2023-11-15T04:03:20+00:00"


def blocks() -> dict[str, str]:
    """The five examples by the word that tells them apart."""
    text = (ROOT / "README.md").read_text().partition("## Watch a broker")[2].partition("\n## ")[0]
    found = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    words = ("awk", "mosquitto_pub", "redis-cli", "confluent_kafka", "tail")
    return {word: next(block for block in found if word in block) for word in words}


def client(word: str) -> str:
    """The part of an example that sends."""
    lines = blocks()[word].splitlines()
    return "\n".join(line for line in lines if not line.startswith("forecast"))


def bash(folder: Path, script: str) -> None:
    done = subprocess.run(["bash", "-euc", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clients")
    bash(made, blocks()["awk"])
    lines = (made / "pump.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == ROWS
    return made


@pytest.fixture(scope="module")
def whole(folder: Path) -> outcome.Outcome:
    source = {"name": "file", "path": str(folder / "pump.jsonl"), "follow": False}
    assert run(folder / "whole", source)[0] == 0
    return outcome.of(folder / "whole")


def watched(process: "subprocess.Popen[bytes]", folder: Path) -> outcome.Outcome:
    """What a watch comes to that stops by itself."""
    try:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors.decode()
    finally:
        process.kill()
        process.communicate()
    return outcome.of(folder)


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} (apt-get install mosquitto-clients redis-tools)")


def test_mosquitto_pub(folder: Path, whole: outcome.Outcome, tmp_path: Path) -> None:
    needs("mosquitto_pub")
    port = free_port()
    with mosquitto(tmp_path, port):
        source = {"name": "mqtt", "topic": "plant/#", "port": port}
        join(source)
        process = start(tmp_path / "watch", source, ROWS)
        bash(folder, client("mosquitto_pub").replace("mosquitto_pub ", f"mosquitto_pub -p {port} "))
        found = watched(process, tmp_path / "watch")
    assert (found.rows, found.doubled, found.scores) == (ROWS, 0, whole.scores)


def test_redis_cli(folder: Path, whole: outcome.Outcome, tmp_path: Path) -> None:
    needs("redis-cli")
    port = free_port()
    with redis_server(tmp_path, port):
        bash(folder, client("redis-cli").replace("redis-cli ", f"redis-cli -p {port} "))
        process = start(tmp_path / "watch", {"name": "redis", "stream": "plant", "port": port}, ROWS)
        found = watched(process, tmp_path / "watch")
    assert (found.rows, found.doubled, found.scores, found.alerts) == (ROWS, 0, whole.scores, whole.alerts)


@pytest.fixture
def kafka() -> Iterator[str]:
    confluent = pytest.importorskip("confluent_kafka")
    cluster = confluent.Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1}, logger=None)
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"


def test_a_producer_in_another_process(folder: Path, whole: outcome.Outcome, tmp_path: Path, kafka: str) -> None:
    script = client("confluent_kafka").replace("python ", f"{sys.executable} ").replace("127.0.0.1:9092", kafka)
    bash(folder, script)
    process = start(tmp_path / "watch", {"name": "kafka", "topic": "plant", "servers": kafka}, ROWS)
    found = watched(process, tmp_path / "watch")
    assert (found.rows, found.doubled, found.scores, found.alerts) == (ROWS, 0, whole.scores, whole.alerts)


def test_tail(folder: Path, whole: outcome.Outcome, tmp_path: Path) -> None:
    words = [str(tmp_path / "watch"), json.dumps({"name": "stdin"}), str(ROWS)]
    with subprocess.Popen(["tail", "-n", "+1", "-F", "pump.jsonl"], cwd=folder, stdout=subprocess.PIPE) as tail:
        done = subprocess.run(
            [sys.executable, "-m", "tests.watch.runner", *words], cwd=ROOT, stdin=tail.stdout, timeout=100, check=False
        )
        tail.terminate()
    assert done.returncode == 0
    assert outcome.of(tmp_path / "watch").scores == whole.scores


def seen(folder: Path, script: str) -> bool:
    """Whether an example, run as it stands, leads to the alert of the spike."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    script = script.replace("forecast watch", f"{sys.executable} -m forecast watch")
    process = subprocess.Popen(["bash", "-c", script], cwd=folder, env=environment, start_new_session=True)
    until, path = time.monotonic() + 200, folder / "outputs" / "watch" / "alerts.jsonl"
    try:
        while time.monotonic() < until:
            told: list[Any] = path.read_text().splitlines() if path.exists() else []
            if any(json.loads(line)["peak_at"] == SPIKE for line in told):
                return True
            time.sleep(0.2)
        return False
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        time.sleep(1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("word", ["mosquitto_pub", "redis-cli", "tail"])
def test_the_examples_as_they_stand(folder: Path, tmp_path: Path, word: str) -> None:
    needs(word)
    shutil.copy(folder / "pump.jsonl", tmp_path / "pump.jsonl")
    port = free_port()
    script = blocks()[word].replace(word + " ", f"{word} -p {port} ") if word != "tail" else blocks()[word]
    script = re.sub("source=(mqtt|redis) ", rf"source=\1 source.port={port} ", script)
    if word == "tail":
        assert seen(tmp_path, script)
        return
    broker = mosquitto if word == "mosquitto_pub" else redis_server
    with broker(tmp_path, port):
        if word == "mosquitto_pub":  # on a slow machine the messages may come before the watch does
            join({"name": "mqtt", "topic": "plant/#", "port": port})
        assert seen(tmp_path, script)
