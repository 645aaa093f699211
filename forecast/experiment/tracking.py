"""MLflow, and nothing else of it than this: runs, batched metrics, artefacts.

The default store is SQLite beside the run folders, its artefacts beside it. Only pooled metrics and stepped curves go
into the database; everything per series is a Parquet artefact. No model flavour of MLflow is used: our models are
safetensors files.
"""

import contextlib
import logging
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from forecast.experiment.config import Tracking

BATCH = 900  # MLflow takes 1,000 metrics a call
PACKAGES = ("forecast", "torch", "lightning", "pandas", "numpy", "statsmodels", "scikit-learn", "numba", "mlflow")


class Recorder:
    """One run being recorded; with `mlflow=false` it takes everything and keeps nothing."""

    def __init__(self, client: Any = None, run_id: str = "", experiment: str = "") -> None:
        self.client, self.run_id, self.experiment = client, run_id, experiment

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Flat parameters; long ones are cut at MLflow's limit."""
        if self.client is not None:
            from mlflow.entities import Param

            self.client.log_batch(self.run_id, params=[Param(key, str(value)[:6000]) for key, value in values.items()])

    def metrics(self, values: Mapping[str, float]) -> None:
        """Pooled figures; a missing one is left out."""
        self.curves({name: [value] for name, value in values.items()})

    def curves(self, values: Mapping[str, Sequence[float]]) -> None:
        """Figures by step (error by lead, loss by epoch)."""
        if self.client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [
            Metric(name, float(v), now, step)
            for name, curve in values.items()
            for step, v in enumerate(curve)
            if v == v
        ]
        for start in range(0, len(points), BATCH):
            self.client.log_batch(self.run_id, metrics=points[start : start + BATCH])

    def artefact(self, path: Path) -> None:
        """A file of the run folder."""
        if self.client is not None:
            self.client.log_artifact(self.run_id, str(path))

    @contextlib.contextmanager
    def child(self, name: str) -> Iterator["Recorder"]:
        """A nested run."""
        if self.client is None:
            yield self
            return
        with _started(self.client, self.experiment, name, {"mlflow.parentRunId": self.run_id}) as child:
            yield child


@contextlib.contextmanager
def recording(tracking: Tracking, root: Path, name: str, tags: Mapping[str, str]) -> Iterator[Recorder]:
    """A run in the store of the config; failed if the block raises."""
    if not tracking.mlflow:
        yield Recorder()
        return
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow.store").setLevel(logging.WARNING)  # a new database is no news
    client = MlflowClient(tracking_uri=tracking.uri or f"sqlite:///{(root / 'mlflow.db').resolve()}")
    known = client.get_experiment_by_name(tracking.experiment)
    place = (root / "mlflow" / tracking.experiment).resolve()
    experiment = (
        known.experiment_id
        if known
        else client.create_experiment(tracking.experiment, artifact_location=place.as_uri())
    )
    with _started(client, experiment, name, {**environment(), **tags}) as recorder:
        yield recorder


@contextlib.contextmanager
def _started(client: Any, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[Recorder]:
    run = client.create_run(experiment, run_name=name, tags=dict(tags))
    try:
        yield Recorder(client, run.info.run_id, experiment)
    except BaseException:
        client.set_terminated(run.info.run_id, status="FAILED")
        raise
    client.set_terminated(run.info.run_id)


def environment() -> dict[str, str]:
    """Versions, machine and git commit of a run."""
    packages = {f"version.{name}": version(name) for name in PACKAGES}
    machine = {"python": platform.python_version(), "cpus": str(os.cpu_count()), "machine": platform.machine()}
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    return packages | machine | ({"git_commit": commit} if commit else {})
