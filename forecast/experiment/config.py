"""What a verb is given: a plain frozen dataclass, complete and checked. The verb is forecast/experiment/<verb>.py:

    def run(config: Compare, out: Path) -> int      # out: the run folder, made already; the answer: the exit code

The defaults and the help lines stand in conf/<verb>.yaml and conf/<group>/*.yaml, the types here, and nothing stands
in both. `config.data` names what to read: `forecast.experiment.data.load(config.data) -> Source` reads it to a panel.
A model is a `Member`: `config.models[0].build(horizon=24, facts=facts_of(panel)) -> Forecaster`.
From Python: `member("ridge", {"context": 720})`, or `member({"name": "ridge", "context": 720})`, makes one. The saved
config (`out/config.yaml`) is the resolved one with secrets replaced by `***`; `load(path)` reads it back.
"""

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_type_hints

import yaml

from forecast import classes
from forecast.classes import Parameter
from forecast.errors import InputError, unknown
from forecast.experiment.checks import convert, known_keys, read_yaml, redact
from forecast.experiment.members import Member, labelled, member
from forecast.series.file import existing

READ_OPTIONS = "forecast.series.read.options.ReadOptions"


@dataclass(frozen=True)
class Data:
    """What to read: a name of the catalogue, or a file; and how, the fields of `ReadOptions`."""

    name: str | None
    options: dict[
        str, Any
    ]  # ReadOptions(**options), its `path` among them: the user's values over the defaults, complete

    @property
    def path(self) -> str | None:
        """The file; None where a name is given, or nothing."""
        return self.options["path"] or None

    def check(self) -> None:
        """Whether the file is there, told at once."""
        if self.name is None and self.path is not None:
            existing(self.path)


@dataclass(frozen=True)
class Trainer:
    """How weights are trained: Lightning's Trainer in our words."""

    accelerator: Literal["auto", "cpu", "gpu"]
    devices: int
    num_nodes: int
    strategy: str
    precision: str
    context: int | None  # rows of past in a training window; None: a few horizons and seasons
    max_steps: int
    batch_size: int
    early_stopping: bool
    patience: int


@dataclass(frozen=True)
class Tracking:
    """Where runs are recorded."""

    mlflow: bool
    uri: str | None  # None: SQLite beside the run folders
    experiment: str


@dataclass(frozen=True)
class Validate:
    """forecast validate"""

    data: Data
    out: str


@dataclass(frozen=True)
class Compare:
    """forecast compare"""

    data: Data
    models: tuple[Member, ...]
    horizon: int | None  # None: the data set's own, else one leading season
    season: int | None  # None: as stated by the data or found in it
    cutoffs: int | None  # None: five, or as many as it takes to judge chance where series are few
    step: int | None  # rows between cutoffs; None: the horizon
    window: Literal["expanding", "sliding"]
    refit: int  # estimate anew every so many cutoffs; 0: once
    metrics: tuple[str, ...]
    failed: str | None  # the model whose forecast stands in for a failed one; None: the cell is left out for all models
    seed: int
    time_cap: float  # seconds per series and model
    processes: int
    trainer: Trainer
    tracking: Tracking
    resume: str | None  # a run folder of compare, or `latest`; then `out` is that folder
    out: str


@dataclass(frozen=True)
class Train:
    """forecast train"""

    data: Data
    model: Member
    horizon: int | None
    season: int | None
    trainer: Trainer
    tracking: Tracking
    seed: int
    resume: str | None  # a run folder of train, or `latest`; then `out` is that folder
    out: str


@dataclass(frozen=True)
class Predict:
    """forecast predict"""

    run: str  # a run folder, or `latest`: the newest of train and compare
    data: Data  # neither name nor path: the data of that run
    horizon: int | None
    inputs: str | None  # a table of what is planned: the future rows of the inputs
    levels: tuple[float, ...]
    seed: int
    out: str


@dataclass(frozen=True)
class Export:
    """forecast export"""

    run: str  # a run folder, or `latest`: the newest of train and compare
    data: Data  # neither name nor path: the data of that run
    warm: bool
    seed: int
    out: str


@dataclass(frozen=True)
class Detect:
    """forecast detect"""

    data: Data
    model: Member
    models: tuple[Member, ...] | None  # whose mean distribution is used; None: model
    detector: dict[str, Any]  # the chosen file of conf/detector/, its `name` the word
    false_alarms_per_day: float | None
    false_alarms_per_fleet_day: float | None
    false_alarm_rate: float | None
    false_discovery_rate: float | None
    discovery_memory: float  # rows of the clock
    maintenance: tuple[Any, ...]  # windows, or files of windows
    calm: float  # below 1 a share, else rows
    season: int | None
    gap: int
    tracking: Tracking
    seed: int
    out: str


@dataclass(frozen=True)
class Watch:
    """forecast watch"""

    source: dict[str, Any]  # the chosen file of conf/source/, its `name` the word
    model: Member
    models: tuple[Member, ...] | None  # whose mean distribution is used; None: model
    run: str | None  # whose weights all sensors share; None: the model is estimated sensor by sensor
    detector: dict[str, Any]
    state: str | None
    buckets: int | None  # of sensors, shared by several processes; None: one process
    lease: float  # seconds
    sinks: tuple[Any, ...]  # words of conf/sink/, or {name: WORD, parameter: value}
    false_alarms_per_day: float | None
    false_alarms_per_fleet_day: float | None
    fleet: int | None  # sensors that share it
    false_alarm_rate: float | None
    false_discovery_rate: float | None
    discovery_memory: float  # readings of all sensors
    warmup: int
    longest_warmup: int
    refit: dict[str, Any]
    season: int | None
    history: str | None  # file of rows from before the stream
    rows: dict[str, Any]
    events: dict[str, Any]
    mute: tuple[Any, ...]
    maintenance: tuple[Any, ...]  # windows, or files of windows
    groups: dict[str, Any]
    commit: dict[str, Any]
    plan: int | None
    do: str | None
    alert: str | None
    verdict: str | None
    seed: int
    out: str


@dataclass(frozen=True)
class Report:
    """forecast report"""

    run: str
    out: str


@dataclass(frozen=True)
class Fetch:
    """forecast fetch"""

    name: str | None  # None: list what there is
    url: str | None  # address of a mirror of the data folder
    accept: bool  # False: show address, size, SHA-256 and licence, and ask
    out: str


@dataclass(frozen=True)
class Selftest:
    """forecast selftest"""

    out: str


@dataclass(frozen=True)
class Demo(Compare):
    """forecast demo: a comparison on data that comes with the package"""


@dataclass(frozen=True)
class Benchmark:
    """forecast benchmark"""

    benchmark: dict[str, Any]  # the chosen file of conf/benchmark/, its `name` the word
    models: tuple[Member, ...] | None  # None: those that the benchmark is known for
    seed: int
    time_cap: float
    processes: int
    trainer: Trainer
    tracking: Tracking
    resume: str | None  # a run folder of benchmark, or `latest`; then `out` is that folder
    out: str


Config: TypeAlias = (
    Validate | Compare | Train | Predict | Export | Detect | Watch | Report | Fetch | Selftest | Demo | Benchmark
)
VERBS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (Validate, Compare, Train, Predict, Export, Detect, Watch, Report, Fetch, Selftest, Demo, Benchmark)
}
OWN_FLOOR = ("watch",)  # verbs whose module is forecast/<verb>/verb.py; the others' is forecast/experiment/<verb>.py


def module(verb: str) -> str:
    """The module that does what a verb says."""
    return f"forecast.{verb}.verb" if verb in OWN_FLOOR else f"forecast.experiment.{verb}"


def read_options() -> dict[str, Parameter]:
    """The fields of ReadOptions."""
    return classes.parameters(READ_OPTIONS)


def kinds(kind: type[Any], where: str = "") -> dict[str, Any]:
    """Every key of a configuration that is known before its models are, with its type."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if hint is Data:
            found |= {f"{where}{name}.name": str | None}
            found |= {f"{where}{name}.{option}": p.type for option, p in read_options().items()}
        elif isinstance(hint, type) and is_dataclass(hint) and hint is not Member:
            found |= kinds(hint, f"{where}{name}.")
        else:
            found[where + name] = hint
    return found


def complete(kind: type[Any], node: dict[str, Any], where: str = "") -> Any:
    """A plain configuration as the dataclass of its verb: every key known, every value of its type."""
    hints = get_type_hints(kind)
    known_keys(node, hints, where)
    for name in hints:
        if name not in node:
            raise InputError(f"{where}{name} is missing; the defaults of conf/ have it")
    return kind(**{name: _field(hint, node[name], where + name) for name, hint in hints.items()})


def _field(hint: Any, value: Any, key: str) -> Any:
    if hint == tuple[Member, ...] | None and value is None:
        return None
    if hint in (tuple[Member, ...], tuple[Member, ...] | None):
        listed = value if isinstance(value, list) else [value]
        return labelled([member(item, where=f"{key}.") for item in listed])
    if hint is Member:
        return member(value, where=f"{key}.")
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{key}: expected keys with values, as in {key}.{fields(hint)[0].name}=…; got {value!r}")
        return _data(value, f"{key}.") if hint is Data else complete(hint, value, f"{key}.")
    return convert(value, hint, key)


def _data(node: dict[str, Any], where: str) -> Data:
    options = read_options()
    known_keys(node, ["name", *options], where)
    name = convert(node.get("name"), str | None, f"{where}name")
    values = {k: convert(node[k], p.type, where + k) if k in node else p.default for k, p in options.items()}
    if name is not None and values["path"]:
        raise InputError(f"{where}name={name} and {where}path={values['path']}: give one of them")
    return Data(name, values)


def plain(config: Any) -> Any:
    """The configuration as dicts, lists and values, complete, secrets included."""
    if isinstance(config, Data):
        return {"name": config.name, **{name: plain(value) for name, value in config.options.items()}}
    if isinstance(config, Member):
        return plain(config.plain())
    if is_dataclass(config):
        return {field.name: plain(getattr(config, field.name)) for field in fields(config)}
    if isinstance(config, dict):
        return {name: plain(value) for name, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return str(config) if isinstance(config, Path) else config


def logged(config: Config) -> dict[str, Any]:
    """The configuration as it may be shown, saved and tracked: without its secrets."""
    shown: dict[str, Any] = redact(plain(config))
    return {"verb": type(config).__name__.lower(), **shown}


def save(config: Config, file: Path) -> None:
    """Write the complete configuration, secrets redacted."""
    file.write_text(yaml.safe_dump(logged(config), sort_keys=False, allow_unicode=True), encoding="utf-8")


def load(file: Path, changes: dict[str, Any] | None = None) -> Any:
    """The configuration that `save` wrote, with some of its keys (`trainer.max_steps`) changed."""
    node = read_yaml(file)
    for key, value in (changes or {}).items():
        *path, last = key.split(".")
        inner: Any = node
        for part in path:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise unknown("key", key, [*kinds(VERBS.get(str(node.get("verb")), Selftest))])
        if isinstance(inner[last], dict):
            raise InputError(f"{key}={value}: a run goes on with what it began with; only single keys can be changed")
        inner[last] = value
    verb = node.pop("verb", None)
    if verb not in VERBS:
        raise InputError(f"{file}: not a configuration of a run; it names no verb")
    return complete(VERBS[verb], node)
