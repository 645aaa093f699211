"""`forecast predict`: the real future, by a model that was trained or that won a comparison.

The model of a trained run is its file; that of a comparison is the winner, with the weights that were compared, or its
parameters estimated anew on all rows. Local parameters are those of the series they were estimated on: other data, other estimate.
"""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from forecast import artefact
from forecast.distribution import Forecast
from forecast.errors import InputError
from forecast.experiment import config as configuration
from forecast.experiment import data, runs, tables
from forecast.experiment.config import Compare, Data, Export, Predict, Train
from forecast.experiment.members import facts_of
from forecast.experiment.runs import MODEL
from forecast.experiment.tables import identities, targets
from forecast.experiment.work import Bounds, forecast_from
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.series.plan import planned
from forecast.types import Parameters


class Ready(NamedTuple):
    """A model that can forecast a panel."""

    label: str
    model: Forecaster
    parameters: Parameters | None  # None: to be estimated on the panel
    horizon: int


def run(config: Predict, out: Path) -> int:
    """The verb: take the model of a run, forecast what comes after the last row, write the table."""
    torch.set_num_threads(1)
    folder, before, given, panel = run_of(config)
    panel = panel if config.inputs is None else planned(panel, Path(config.inputs))
    ready = ready_from(folder, before, panel, config.horizon)
    horizon = config.horizon or ready.horizon
    table = predict(ready, panel, horizon, config.levels, given)
    tables.save(out, {"forecasts.csv": table, "forecasts.parquet": table})
    print(
        f"{ready.label} from {folder}\n{table.head(12).to_string(index=False)}\n{len(table):,} rows: {out / 'forecasts.csv'}"
    )
    missing = table.loc[table["mean"].isna(), "unique_id"].unique()
    if len(missing):
        print(
            f"no forecast for {len(missing)} series, the first of them {missing[0]!r}: fewer observed rows than {ready.label} needs"
        )
    return 0


def run_of(config: Predict | Export) -> tuple[Path, Train | Compare, Data, Panel]:
    """The folder of the run that is meant, its configuration, and the data: what is given, else that of the run."""
    folder = runs.find(config.run, Path(config.out), ["train", "compare"])
    before = configuration.load(folder / "config.yaml")
    given = config.data if config.data.name or config.data.path else before.data
    return folder, before, given, data.load(given).panel


def ready_from(folder: Path, before: Train | Compare, panel: Panel, horizon: int | None) -> Ready:
    """The model of a run folder, for this panel."""
    if isinstance(before, Train):
        found = artefact.load(folder / MODEL)
        same = found.facts["series"] == list(panel.names) and found.facts["channels"] == list(panel.channels)
        return Ready(found.facts["label"], found.model, found.parameters if same else None, found.facts["horizon"])
    summary = json.loads((folder / "summary.json").read_text())
    label, file = model_file(folder)
    print(f"{label} won the comparison: {summary['verdict']}")
    if file.exists():
        return Ready(label, artefact.load(file).model, None, summary["horizon"])
    member = next(member for member in before.models if member.label == label)
    wanted = horizon or summary["horizon"]
    return Ready(label, member.build(horizon=wanted, facts=facts_of(panel)), None, wanted)


def model_file(folder: Path) -> tuple[str, Path]:
    """The name of a run's model, of a comparison that of the winner, and where its weights are if it has any."""
    if (folder / MODEL).exists():
        return str(json.loads((folder / "summary.json").read_text())["model"]), folder / MODEL
    label = str(json.loads((folder / "summary.json").read_text())["best"])
    return label, folder / "models" / f"{label}.safetensors"


def predict(
    ready: Ready, panel: Panel, horizon: int, levels: tuple[float, ...], source: Data | None = None
) -> pd.DataFrame:
    """unique_id, ds, model, mean, q… of the `horizon` rows after every series' end."""
    most = getattr(ready.model, "horizon", horizon)
    if horizon > most:
        raise InputError(
            f"{ready.label} was trained for horizon={most}; pass horizon={most} or less, or train it for {horizon}"
        )
    ends = panel.lengths.tolist()
    past, future = panel.past(ends), panel.future(ends, horizon)
    with torch.no_grad():
        parameters = ready.model.estimate(past) if ready.parameters is None else ready.parameters
        forecast = forecast_from(ready.model, parameters, past, future)
    kept = forecast if source is None else Bounds.of(source.options).keep(forecast)
    return frame(kept, panel, horizon, ready.label, levels)


def frame(forecast: Forecast, panel: Panel, horizon: int, label: str, levels: tuple[float, ...]) -> pd.DataFrame:
    """A forecast as a long table."""
    names, mean, quantiles = identities(panel), forecast.mean.numpy(), forecast.quantiles(levels).numpy()
    parts = []
    for s in range(len(panel)):
        times = panel.times(s, horizon)
        for c in targets(panel):
            columns = {f"q{level:g}": quantiles[s, :, c, i] for i, level in enumerate(levels)}
            parts.append(
                pd.DataFrame({"unique_id": names[s][c], "ds": times, "model": label, "mean": mean[s, :, c], **columns})
            )
    return pd.concat(parts, ignore_index=True)
