"""What a watch answers over HTTP, on loopback, to those who bring the token: how things stand, labels and mutes, as JSON.

    GET /status     states of sensors, false alarms asked for and seen, what stricter budgets would leave, the newest time
    GET /sensors    every sensor                            GET /mutes      those that were given by command
    GET /alerts?sensor=plant/*&state=open&most=100         the last word on every event, newest first, with its label
    POST /labels    {"alert": ID, "verdict": "false"}       POST /mutes     {"sensor": "plant/*", "end": "2026-01-02T00:00Z"}
    DELETE /mutes   {"sensor": "plant/*"}
They are the tasks of `forecast.watch.desk`, of the whole state folder. Without `Authorization: Bearer TOKEN` nothing is looked at (401); what is no
task 404 or 405, what cannot be done 400, more than 64 KiB 413, each with {"error": one line}.
"""

import hmac
import json
import math
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from forecast.errors import ForecastError, InputError
from forecast.watch import desk
from forecast.watch.alerts import iso
from forecast.watch.events import Mute
from forecast.watch.leases import buckets_of
from forecast.watch.status import STATES

MOST = 65_536  # bytes of a request
PATIENCE = 10.0  # seconds that a request may take to come


class Answer(NamedTuple):
    """What is sent back."""

    body: bytes
    kind: str = "application/json"
    code: int = 200


Task = Callable[[Any], Answer]


class Page:
    """A server in a thread of its own; `tasks` are by method and path."""

    def __init__(self, host: str, port: int, token: str, tasks: dict[tuple[str, str], Task]) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(token, tasks))
        except OSError as error:
            raise InputError(
                f"sinks: {host}:{port}: {error.strerror}; pass another port for prometheus, port=0 for any that is free"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True, name="page").start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def tasks_of(store: Path) -> dict[tuple[str, str], Task]:
    """The tasks on a store, with those of the other buckets of its state folder."""
    folder = store.parent if buckets_of(store.parent.parent) is None else store.parent.parent

    def label(given: Any) -> str:
        alert, verdict = (_word(given, name) for name in _only(given, ("alert", "verdict")))
        return desk.label(desk.stores(folder), alert, verdict)

    return {
        ("GET", "/status"): lambda _: _json(_status(desk.View.of(desk.stores(folder)))),
        ("GET", "/sensors"): lambda _: _json(_sensors(desk.View.of(desk.stores(folder)))),
        ("GET", "/alerts"): lambda given: _json(_alerts(desk.stores(folder), given or {})),
        ("GET", "/mutes"): lambda _: _json([_mute(one) for one in desk.View.of(desk.stores(folder)).mutes]),
        ("POST", "/labels"): lambda given: _json({"said": label(given)}),
        ("POST", "/mutes"): lambda given: _json({"said": desk.mute(desk.stores(folder), [Mute.of(given)])}),
        ("DELETE", "/mutes"): lambda given: _json({"said": desk.unmute(desk.stores(folder), [Mute.of(given)])}),
    }


def _only(given: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(given, dict) or not set(given) <= set(names):
        raise InputError(f"expected a JSON object with {', '.join(names)}, got {json.dumps(given)[:200]}")
    return names


def _word(given: dict[str, Any], name: str) -> str | None:
    if not isinstance(given.get(name), str | None):
        raise InputError(f"{name} must be a word, got {json.dumps(given[name])[:200]}")
    return given.get(name)


def _status(view: desk.View) -> dict[str, Any]:
    states = [sensor.state for sensor in view.sensors]
    return {
        "now": _iso(view.now),
        "sensors": {state: states.count(state) for state in STATES},
        "false_alarms_per_sensor_day": {
            "asked": _number(view.gauge.asked),
            "least": _number(view.gauge.least),
            "most": _number(view.gauge.most),
        },
        "sensor_days": view.gauge.days,
        "events": {
            name: getattr(view.gauge, name) for name in ("events", "false", "real", "expected", "unlabelled", "apart")
        },
        "stricter": [
            {"asked": _number(share * view.gauge.asked), "left": dict(sorted(left.items()))}
            for share, left in view.stricter
        ],
        "labels": view.labels,
    }


def _alerts(stores: list[Path], given: dict[str, Any]) -> list[dict[str, Any]]:
    sensor, state, most = (_word(given, name) for name in _only(given, ("sensor", "state", "most")))
    if most is not None and not (most.isascii() and most.isdigit()):
        raise InputError(f"most={most}: expected a number")
    return desk.newest(stores, sensor or "*", state or None, int(most or 100))


def _sensors(view: desk.View) -> list[dict[str, Any]]:
    return [one._asdict() | {"last": _iso(one.last), "eta": _iso(one.eta)} for one in view.sensors]


def _mute(one: Mute) -> dict[str, Any]:
    return {"sensor": one.sensor, "kind": one.kind, "start": _iso(one.start), "end": _iso(one.end)}


def _iso(stamp: int | None) -> str | None:
    return None if stamp is None else iso(stamp)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _json(content: Any, code: int = 200) -> Answer:
    return Answer(json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n", code=code)


def _error(code: int, said: str) -> Answer:
    return _json({"error": " ".join(said.split())}, code)


def _handler(token: str, tasks: dict[tuple[str, str], Task]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def _do(self) -> None:
            answer = self._answer()
            self.send_response(answer.code)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815

        def _answer(self) -> Answer:
            given = self.headers.get("Authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                return _error(401, "the token is missing or wrong")
            path, _, query = self.path.partition("?")
            task = tasks.get((str(self.command), path))
            if task is None:
                methods = [method for method, other in tasks if other == path]
                paths = sorted({path for _, path in tasks})
                return _error(405, f"{path} takes {', '.join(methods)}") if methods else _error(404, " ".join(paths))
            length = self.headers.get("Content-Length", "0")
            if not length.isascii() or not length.isdigit() or int(length) > MOST:
                return _error(413, f"a request of {length[:20]} bytes; at most {MOST}")
            body = self.rfile.read(int(length))
            try:
                return task(json.loads(body) if body else dict(parse_qsl(query, keep_blank_values=True)) or None)
            except (ValueError, RecursionError):
                return _error(400, "the request is no JSON")
            except InputError as error:
                return _error(400, str(error))
            except ForecastError as error:
                return _error(500, str(error))

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Handler
