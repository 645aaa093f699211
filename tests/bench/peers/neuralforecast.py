"""neuralforecast: CPU-seconds of a training step, from the end of one to the end of the next, default sizes, 224 windows. See speed_training."""

import contextlib
import io
import json
import logging
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
torch.set_num_threads(1)
name, file, steps = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
values, context, horizon, batch = file["values"], int(file["context"]), int(file["horizon"]), int(file["batch"])


ENDS = []  # not of the callback: the trainer's arguments are copied


class Ends(pl.Callback):
    def on_train_batch_end(self, *_):
        ENDS.append(time.process_time())


from neuralforecast import NeuralForecast, models  # noqa: E402
from neuralforecast.losses.pytorch import MSE  # noqa: E402

clock = pd.date_range("2016-07-01", periods=len(values), freq="h")
frames = [pd.DataFrame({"unique_id": str(c), "ds": clock, "y": values[:, c]}) for c in range(values.shape[1])]
quiet = dict(enable_progress_bar=False, logger=False, enable_checkpointing=False, enable_model_summary=False)
model = getattr(models, name)(
    h=horizon, input_size=context, max_steps=steps + 2, scaler_type="identity", loss=MSE(), accelerator="cpu", devices=1,
    batch_size=values.shape[1], windows_batch_size=batch, num_sanity_val_steps=0, val_check_steps=10**6,
    callbacks=[Ends()], **quiet,
)  # fmt: skip
with contextlib.redirect_stdout(io.StringIO()):
    NeuralForecast(models=[model], freq="h").fit(pd.concat(frames))
size = sum(part.numel() for part in model.parameters())
print(json.dumps({"cpu_s": float(np.median(np.diff(ENDS)[1:])), "parameters": size}))
