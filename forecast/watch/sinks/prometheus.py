"""A page of counters for Prometheus: /metrics on loopback, for those who bring the token, beside the tasks of `forecast.watch.page`.

What it counts is what the store has committed, so that a kill neither loses nor doubles a row of it. Alerts are counted as they are
delivered to this sink, from its cursor on.

    forecast_watch_readings_total{outcome}   every reading by what became of it
    forecast_watch_alerts_total{severity,kind,state}, forecast_watch_open_events{severity}
    forecast_watch_sensors{state}
    forecast_watch_false_alarms_per_sensor_day{bound}   asked for; least and most that were seen (`forecast.watch.status`)
"""

import json
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from forecast.errors import InputError
from forecast.watch import status
from forecast.watch.page import Answer, Page, tasks_of
from forecast.watch.secrets import secret
from forecast.watch.sinks.sink import Sink
from forecast.watch.store import Reader


class Prometheus(Sink):
    """A page that is asked."""

    def __init__(
        self,
        port: int = 9464,
        host: str = "127.0.0.1",
        token_variable: str = "FORECAST_METRICS_TOKEN",  # name of the variable of the environment that holds the token
    ) -> None:
        self.host, self.port, self.name = host, port, "prometheus"
        self.token = secret(token_variable) or ""
        if not self.token:
            raise InputError(f"sinks: the variable {token_variable} is empty; the page of prometheus needs a token")
        self.registry = CollectorRegistry()
        self.alerts = Counter(
            "forecast_watch_alerts", "Alerts told.", ["severity", "kind", "state"], registry=self.registry
        )
        self.open_events: dict[str, str] = {}  # id → severity
        self.store: Path | None = None
        self._page: Page | None = None

    def open(self, store: Path) -> None:
        self.store = store
        self._open_before(store)
        self.registry.register(self)
        tasks = tasks_of(store)
        tasks["GET", "/metrics"] = lambda _: Answer(generate_latest(self.registry), CONTENT_TYPE_LATEST)
        self._page = Page(self.host, self.port, self.token, tasks)
        self.port = self._page.port

    def deliver(self, bodies: list[bytes], at: int) -> int:
        for body in bodies:
            alert = json.loads(body)
            self.alerts.labels(alert["severity"], alert["kind"], alert["state"]).inc()
            self._follow(alert["id"], alert["state"], alert["severity"])
        return at

    def collect(self) -> Iterator[Metric]:
        """What the store says at this moment."""
        assert self.store is not None
        reader = Reader(self.store)
        try:
            watch = json.loads(reader.fact("watch") or b"{}")
            sensors = status.sensors_of(reader)
            found = status.gauge(sensors, status.last_alerts(reader), reader.labels())
        finally:
            reader.close()
        readings = CounterMetricFamily("forecast_watch_readings", "Readings by outcome.", labels=["outcome"])
        for outcome, count in watch.get("counts", {}).items():
            readings.add_metric([outcome], count)
        yield readings
        states = GaugeMetricFamily("forecast_watch_sensors", "Sensors by state.", labels=["state"])
        for state in status.STATES:
            states.add_metric([state], sum(sensor.state == state for sensor in sensors))
        yield states
        name = "forecast_watch_false_alarms_per_sensor_day"
        budget = GaugeMetricFamily(name, "Asked for, and seen: a range while labels are missing.", labels=["bound"])
        for bound, value in (("asked", found.asked), ("least", found.least), ("most", found.most)):
            budget.add_metric([bound], value)
        yield budget
        events = GaugeMetricFamily("forecast_watch_open_events", "Events that are open.", labels=["severity"])
        severities = list(self.open_events.values())
        for severity in sorted(set(severities)):
            events.add_metric([severity], severities.count(severity))
        yield events

    def close(self) -> None:
        if self._page is not None:
            self._page.close()

    def _open_before(self, store: Path) -> None:
        """Events that were open when the last process ended."""
        reader = Reader(store)
        try:
            for _, body in reader.alerts():
                alert = json.loads(body)
                self._follow(alert["id"], alert["state"], alert["severity"])
        finally:
            reader.close()

    def _follow(self, event: str, state: str, severity: str) -> None:
        if state == "closed":
            self.open_events.pop(event, None)
        else:
            self.open_events[event] = severity
