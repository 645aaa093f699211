"""Speed of training on ETTh1, 512 rows to 96, one thread: windows of all seven channels a CPU-second.

A step is 32 windows, which are 224 of one channel, with everything it takes: gathering them, forward, backward, the optimiser; the
median from one change of the weights to the next. Ours run as `train` runs them, with the rows before a window that bank and
scale see. `lti` has no steps: its closed form sees every window of the training rows once, and is done; its figure is all of them over
the whole fit, less the pass over the validation rows by which `train` tells its loss. Deep members are of the width that they have by
themselves, and of the least one that gives them as many parameters as PatchTST has. Of a window they learn from forecasts after every
season, not from the last row alone: `forecasts_per_cpu_s` counts those, each by the share of its leads that a step draws; peers have one of a
window. Peers: neuralforecast (`make peers`) at the default sizes of its models.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from forecast.experiment import config as configs
from forecast.experiment import data
from forecast.experiment.benchmark.peers import ask
from forecast.experiment.benchmark.speed_kalman import Figure
from forecast.experiment.members import facts_of, member
from forecast.experiment.training import Pasts, train
from forecast.models import closed_form
from forecast.models.deep import DeepForecaster
from forecast.models.forecaster import Forecaster
from forecast.series import catalogue
from forecast.series.panel import Panel
from forecast.series.protocol import Dataset

CONTEXT, HORIZON, WINDOWS = 512, 96, 32
SIZE = 1_194_000  # parameters of PatchTST in neuralforecast 3.3.0, where it is absent
WIDEST, APART = 1024, 32
DEEP = ("hybrid", "s4d")
PEERS = {"DLinear": 20, "NLinear": 20, "PatchTST": 6}  # steps
STEPS = 10
UNIT = "windows_per_cpu_s"


def figures(out: Path, settings: configs.Trainer, peers: tuple[str, ...]) -> Iterator[Figure]:
    """Case, subject, figure, unit of everything measured."""
    dataset = catalogue.load("etth1", data.folders(), raw=True)[0]
    panel = dataset.panel.head(dataset.borders.train)
    settings = replace(
        settings, context=CONTEXT, batch_size=WINDOWS * len(panel.channels), max_steps=STEPS + 2, early_stopping=False
    )
    size, file, values = SIZE, out / "etth1.npz", panel.series(0)
    spread, batch = (values - values.mean(0)) / values.std(0), WINDOWS * len(panel.channels)
    np.savez(file, values=spread.numpy(), context=CONTEXT, horizon=HORIZON, batch=batch)
    for name in peers:
        for word, steps in PEERS.items():
            found = ask(name, word, file, steps)
            if found is not None:
                yield "training", f"{name}, {word}", WINDOWS / found["cpu_s"], UNIT
                yield "training", f"{name}, {word}", found["parameters"], "parameters"
                size = found["parameters"] if word == "PatchTST" else size
    yield from _closed(dataset)
    for word in DEEP:
        own = member(word).build(horizon=HORIZON, facts=facts_of(panel))
        for label, model in ((word, own), (f"{word}, as large as PatchTST", _wide(word, panel, size))):
            windows = WINDOWS / _step(model, panel, settings)
            yield "training", label, windows, UNIT
            yield "training", label, _parameters(model), "parameters"
            yield "training", label, _forecasts(model) * windows, "forecasts_per_cpu_s"


def _closed(dataset: Dataset) -> Iterator[Figure]:
    """`lti`, which chooses its penalties on the validation rows; windows of the training rows count."""
    ends, cut = (part.numpy() for part in (dataset.borders.validation, dataset.borders.train))
    panel = dataset.panel.head(ends)
    model = member("lti").build(horizon=HORIZON, facts=facts_of(panel))
    begin = time.process_time()
    if isinstance(model, DeepForecaster):
        closed_form.fit(model, Pasts(panel, ends, cut))
    spent = time.process_time() - begin
    yield "training", "lti", (int(cut[0]) - CONTEXT - HORIZON + 1) / spent, UNIT
    yield "training", "lti", float(model.state_dict()["head.weight"].numel()), "parameters"


def _parameters(model: Forecaster) -> float:
    return float(sum(part.numel() for part in model.parameters()))


def _forecasts(model: Forecaster) -> float:
    """Forecasts of a window in the loss of a step, on average over its steps; of some leads alone one counts as their share."""
    if not isinstance(model, DeepForecaster):
        return 1.0
    recipe = model.recipe
    rows = CONTEXT - max(int(CONTEXT * recipe.unused) - 1, 0)
    return rows / recipe.every * min(recipe.leads / HORIZON, 1.0)


def _wide(word: str, panel: Panel, size: int) -> Forecaster:
    """A member of the least width that gives it so many parameters."""
    for width in range(APART, WIDEST + 1, APART):
        torch.manual_seed(0)
        one = replace(member(word), parameters=member(word).parameters | {"width": width})
        model = one.build(horizon=HORIZON, facts=facts_of(panel))
        if _parameters(model) >= size:
            break
    return model


def _step(model: Forecaster, panel: Panel, settings: configs.Trainer) -> float:
    """CPU-seconds of a step."""
    ended: list[float] = []
    mark = register_optimizer_step_post_hook(lambda *_: ended.append(time.process_time()))
    rows = panel.lengths.numpy()
    with tempfile.TemporaryDirectory() as folder:
        train(model, panel, rows, HORIZON, settings, 0, Path(folder), cut=rows)
    mark.remove()
    return median(np.diff(ended)[1:].tolist())
