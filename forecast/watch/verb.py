"""`forecast watch`: build what the configuration names, run the loop, answer signals.

SIGTERM and SIGINT finish the chunk at hand, commit, let the sinks have what is left, and exit 0; a second one exits at once, which is as
safe as `kill -9`.
"""

import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from forecast.errors import InputError, unknown
from forecast.experiment.config import Watch
from forecast.experiment.detection import USUAL_RATE, discovery_of, only_one
from forecast.experiment.detectors import build as build_detector
from forecast.experiment.members import Facts
from forecast.experiment.weights import label_of
from forecast.models.ensemble import Ensemble
from forecast.models.forecaster import Forecaster
from forecast.series.maintenance import Maintenance
from forecast.watch import desk, plan
from forecast.watch.before import Before
from forecast.watch.build import build, of_bucket, values
from forecast.watch.columns import Roles
from forecast.watch.crew import Crew, Share
from forecast.watch.events import Mute, Rule
from forecast.watch.leases import Leases, folder_of
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.readings import counted
from forecast.watch.refit import Refit
from forecast.watch.sinks.sink import Sink
from forecast.watch.store import Store
from forecast.watch.teller import Telling
from forecast.watch.trained import estimated, of_run, seasons_of
from forecast.watch.warmup import Plan
from forecast.watch.zones import Zones

DAY = 86_400e6  # microseconds
USUAL_PER_DAY = 0.1
ROLES = ("time", "sensor", "values", "columns", "delimiter")
_log = logging.getLogger("forecast")


def run(config: Watch, out: Path) -> int:
    """The verb."""
    torch.set_num_threads(1)
    if config.plan is not None:
        short = replace(config, longest_warmup=config.warmup)  # simulated rows have no season to wait for
        windows = Maintenance.read(config.maintenance)
        print(plan.text(lambda: scorer(short, windows), config.plan, config.buckets))
        return 0
    if config.do is not None:
        print(at_the_desk(config, out))
        return 0
    if config.buckets is not None:
        return _crew(config, config.buckets)
    loop = prepared(config)
    _answer(loop)
    _log.warning("watching %s; state in %s", loop.source.name, state(config))
    loop.run()
    print(summary(loop), file=sys.stderr)
    return 0


def _crew(config: Watch, buckets: int) -> int:
    """One of several processes that share the work."""
    if buckets < 1:
        raise InputError(f"buckets={buckets} must be at least 1")
    crew = Crew(Leases(state(config) / "leases.db", buckets, config.lease), lambda bucket: prepared(config, bucket))
    _answer(crew)
    _log.warning("watching %d buckets of sensors with others; state in %s", buckets, state(config))
    crew.run()
    return 0


def at_the_desk(config: Watch, out: Path) -> str:
    """What `do` asks for."""
    tasks: dict[str, Callable[[list[Path]], str]] = {
        "status": lambda paths: desk.show(paths, out),
        "label": lambda paths: desk.label(paths, config.alert, config.verdict),
        "explain": lambda paths: desk.explain(paths, config.alert),
        "mute": lambda paths: desk.mute(paths, mutes),
        "unmute": lambda paths: desk.unmute(paths, mutes),
    }
    mutes = [Mute.of(each) for each in config.mute]
    if config.do not in tasks:
        raise unknown("task", str(config.do), tasks)
    return tasks[str(config.do)](desk.stores(state(config)))


def prepared(config: Watch, bucket: int | None = None) -> Loop:
    """The loop of a configuration, or of one bucket of it, where its last commit stands."""
    source = build("source", config.source)
    listed: list[Any] = list(config.sinks)
    sinks: list[Sink] = [build("sink", each if bucket is None else of_bucket(each, bucket)) for each in listed]
    roles = values("forecast.watch.columns.Roles", {k: v for k, v in config.rows.items() if k in ROLES}, "rows.")
    own = {key: value for key, value in config.rows.items() if key not in ("zones", *ROLES)}
    options = Options(
        **values("forecast.watch.loop.Options", own, "rows."),
        **values("forecast.watch.loop.Options", config.commit, "commit."),
    )
    windows = Maintenance.read(config.maintenance)
    telling = Telling(
        Rule(**values("forecast.watch.events.Rule", config.events, "events.")),
        tuple(Mute.of(each) for each in config.mute),
        windows,
        dict(config.groups),
        *budget(config),
        config.false_discovery_rate,
        config.discovery_memory,
    )
    folder = state(config) if bucket is None else folder_of(state(config), bucket)
    shared = bucket is not None and not source.part(bucket, config.buckets or 1)

    def parser() -> Parser:
        zones = Zones(dict(config.rows.get("zones", {})))
        if shared:
            return Share(Roles(**roles), zones, bucket=bucket or 0, buckets=config.buckets or 1)
        return Parser(Roles(**roles), zones)

    stream, history = parser(), None
    if config.history is not None:
        if bucket is not None and not shared:
            raise InputError("history=FILE: which sensors a partition has is not known beforehand; pass buckets=null")
        history = Before(Path(config.history), parser())
    scorer_ = scorer(config, windows)  # what it refuses is refused before the store is opened
    store = Store(folder, alone=bucket is None)
    return Loop(source, stream, scorer_, store, sinks, options, telling, history)


def budget(config: Watch) -> tuple[float | None, float | None]:
    """False alarms of a sensor-day, or of a row."""
    only_one(
        false_alarms_per_day=config.false_alarms_per_day,
        false_alarms_per_fleet_day=config.false_alarms_per_fleet_day,
        false_alarm_rate=config.false_alarm_rate,
        false_discovery_rate=config.false_discovery_rate,
    )
    if (config.false_alarms_per_fleet_day is None) != (config.fleet is None) or (config.fleet or 1) < 1:
        raise InputError(
            f"false_alarms_per_fleet_day={config.false_alarms_per_fleet_day}, fleet={config.fleet}: give both, "
            "the second one the number of sensors that share the first"
        )
    if config.false_alarm_rate is not None:
        return None, config.false_alarm_rate
    if discovery_of(config.false_discovery_rate, config.discovery_memory) is not None:
        return None, USUAL_RATE
    if config.false_alarms_per_fleet_day is not None:
        return config.false_alarms_per_fleet_day / (config.fleet or 1), None
    return (USUAL_PER_DAY if config.false_alarms_per_day is None else config.false_alarms_per_day), None


def scorer(config: Watch, windows: Maintenance) -> Live:
    """The model, and the detector as soon as the step of the rows is known."""
    members = config.models or (config.model,)
    label, shared = (label_of(members), None) if config.run is None else of_run(config.run, Path(config.out))
    if config.run is not None and config.models:
        raise InputError(f"run={config.run} with models={label_of(members)}: give one of them")
    season = config.season if shared is None else next(iter(seasons_of(shared)), 1)
    if config.season not in (None, season):
        raise InputError(f"season={config.season}: the weights of {label} are for season {season}; leave season away")

    def model(seasons: tuple[int, ...]) -> Forecaster:
        if shared is not None:
            return shared
        facts = Facts(seasons[0] if seasons else 1, seasons, 1, 0, 0)
        models = [estimated(member.label, member.build(horizon=1, facts=facts)) for member in members]
        return models[0] if len(models) == 1 else Ensemble.of(models)

    def detector(step: float) -> Any:
        per_day, rate = budget(config)
        if rate is None:
            rate = (per_day or 0.0) * step / DAY
        if not 0 < rate < 0.5:
            raise InputError(
                f"a rate of {rate:.3g} false alarms per row is not between 0 and 0.5; pass false_alarm_rate=0.0001"
            )
        return build_detector(config.detector, rate)

    if config.warmup < 2 or config.longest_warmup < 2:
        raise InputError(f"warmup={config.warmup}, longest_warmup={config.longest_warmup}: at least 2 rows of each")
    plan_ = Plan(config.warmup, config.longest_warmup, season)
    refit = Refit(**values("forecast.watch.refit.Refit", config.refit, "refit."))
    return Live(label, model, detector, plan_, refit, windows)


def state(config: Watch) -> Path:
    """The folder of the durable state."""
    return Path(config.state) if config.state else Path(config.out) / "watch" / "state"


def summary(loop: Loop) -> str:
    """How many readings went which way."""
    return f"{counted(len(loop.book.names), 'sensors')}; {loop.counts.told() or 'no readings'}"


def _answer(loop: Loop | Crew) -> None:
    """Stop in order at the first signal, at once at the second."""

    def stop(number: int, frame: FrameType | None) -> None:
        if loop.stopping:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        loop.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
