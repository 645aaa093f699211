"""What a verb is given: plain frozen dataclasses, complete and checked. Every verb is `forecast.experiment.<verb>.run(config, out) -> int`.

    def run(config: Compare, out: Path) -> int      # out = the verb's own run folder, made already; returns the exit code

The defaults and the help lines stand in conf/<verb>.yaml and conf/<group>/*.yaml, the types here, and nothing stands in both.
`config.data` names what to read (`forecast.experiment.data.load(config.data) -> Panel` reads it). A model is a `Member`
(`forecast.experiment.members`): `config.models[0].build(horizon=24, facts=facts_of(panel)) -> Forecaster`.
From Python: `member("ridge", {"context": 720})`, or `member({"name": "ridge", "context": 720})`, makes one.
The saved config (`out/config.yaml`) is the resolved one with secrets replaced by `***`; `load(path)` reads it back.
"""

from dataclasses import dataclass
from typing import Any, Literal

from forecast.experiment.members import Member


@dataclass(frozen=True)
class Data:
    """What to read: a name of the catalogue, or a file; and how, the fields of `forecast.series.read.ReadOptions`."""

    name: str | None
    path: str | None
    options: dict[str, Any]  # ReadOptions(**options); the user's values over the defaults, complete


@dataclass(frozen=True)
class Trainer:
    """How weights are trained: Lightning's Trainer in our words."""

    accelerator: Literal["auto", "cpu", "gpu"]
    devices: int
    num_nodes: int
    strategy: str
    precision: str
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
    cutoffs: int
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
    resume: str | None  # a run folder of train, or `latest`
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
class Report:
    """forecast report"""

    run: str
    out: str


@dataclass(frozen=True)
class Fetch:
    """forecast fetch"""

    name: str | None  # None: list what there is
    url: str | None  # where to fetch from instead, for a mirror
    accept: bool  # False: show address, size, SHA-256 and licence, and ask
    out: str


@dataclass(frozen=True)
class Selftest:
    """forecast selftest"""

    out: str


@dataclass(frozen=True)
class Demo:
    """forecast demo"""

    data: Data
    models: tuple[Member, ...]
    horizon: int | None
    seed: int
    processes: int
    tracking: Tracking
    out: str


@dataclass(frozen=True)
class Benchmark:
    """forecast benchmark"""

    benchmark: dict[str, Any]  # the chosen file of conf/benchmark/, its `name` the word
    models: tuple[Member, ...]
    failed: str | None
    seed: int
    time_cap: float
    processes: int
    tracking: Tracking
    out: str
