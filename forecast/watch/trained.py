"""A model whose weights all sensors share: trained before on a table of history, and taken from the folder of that run.

What a sensor has of its own is then its state, its scale and its tails; the seasons are those of the training.
"""

from pathlib import Path

from forecast import artefact
from forecast.errors import InputError
from forecast.experiment import runs
from forecast.experiment.predict import model_file
from forecast.models.forecaster import Forecaster

TRAIN = "train it: forecast train data.path=HISTORY.csv model={0}; then watch with run=latest"


def of_run(run: str, out: Path) -> tuple[str, Forecaster]:
    """The name and the model of a run folder of `train` or `compare`."""
    folder = runs.find(run, out, ["train", "compare"])
    label, file = model_file(folder)
    if not file.exists():
        raise InputError(f"run={run}: {label} has no weights to take from a run; pass model={label} and leave run away")
    model = artefact.load(file).model
    if "trained" not in model.traits:
        raise InputError(f"run={run}: {label} is estimated sensor by sensor; pass model={label} and leave run away")
    for name in ("inputs", "static"):
        if getattr(model, name, 0):
            raise InputError(f"run={run}: {label} was trained with {name}, and live rows have none; train it without")
    if getattr(model, "channels", 1) != 1:
        raise InputError(
            f"run={run}: {label} was trained on {model.channels} channels; train it on one series a sensor"
        )
    return label, model


def seasons_of(model: Forecaster) -> tuple[int, ...]:
    """The seasons that a trained model knows."""
    return tuple(s for s in getattr(model, "seasons", ()) if s > 1)


def estimated(label: str, model: Forecaster) -> Forecaster:
    """The model, if sensors need nothing but their own rows for it; weights that nobody has trained say nothing."""
    if "trained" in model.traits:
        raise InputError(
            f"{label} has weights that all sensors share, and nobody has trained them here; {TRAIN.format(label)}"
        )
    return model
