"""`forecast export`: a trained model without torch, as one .npz that `forecast.portable` runs; with the states of its series, if wanted."""

from pathlib import Path

import torch

from forecast.errors import InputError
from forecast.experiment.config import Export
from forecast.experiment.predict import ready_from, run_of
from forecast.models import exported

FILE = "model.npz"


def run(config: Export, out: Path) -> int:
    """The verb: take the model of a run, warm it up on the data, write the file."""
    torch.set_num_threads(1)
    folder, before, _, panel = run_of(config)
    ready = ready_from(folder, before, panel, None)
    model = ready.model
    if ready.parameters is None and "trained" in model.traits:
        raise InputError(f"{folder}: holds no weights of {ready.label}; run `forecast train model={ready.label}` first")
    state = None
    if config.warm and "trained" in model.traits:
        past = panel.past(panel.lengths.tolist())
        with torch.no_grad():
            state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    size = exported.write(out / FILE, model, state)
    told = f", with the states of {len(panel)} series" if state is not None else ""
    print(f"{ready.label} from {folder}: {size:,} bytes{told}\nModel: {out / FILE}")
    return 0
