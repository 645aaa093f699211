"""Every metric by its word: how a cell is tallied, how tallies are pooled, its unit and which values are good."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from forecast.metrics.outcome import Outcome, Tally
from forecast.metrics.point import bias, mae, mape, mase, mse, rmsse, smape, wmape
from forecast.metrics.probabilistic import coverage, crps, msis, pinball_deciles, pit, scaled_crps, width, wql

Pool = Literal["mean", "root", "points", "root of points", "levels"]


@dataclass(frozen=True)
class Metric:
    """A metric: how a cell is tallied, how tallies are pooled, and which values are good."""

    word: str
    title: str
    tally: Callable[[Outcome], Tally]
    pool: Pool
    unit: str = ""  # "" = none, "y" = that of the data, "%"
    best: float | None = 0.0  # the value to be near; None: no order

    @property
    def in_data_units(self) -> bool:
        """Whether the figure is in units of the data, so that channels cannot be averaged."""
        return self.unit.startswith("y")


METRICS: dict[str, Metric] = {
    metric.word: metric
    for metric in (
        Metric("mase", "MASE", mase, "mean"),
        Metric("rmsse", "RMSSE", rmsse, "root"),
        Metric("smape", "sMAPE", smape, "mean", "%"),
        Metric("smape_points", "sMAPE over points", smape, "points", "%"),
        Metric("mape", "MAPE", mape, "mean", "%"),
        Metric("wmape", "wMAPE", wmape, "points"),
        Metric("mae", "MAE", mae, "points", "y"),
        Metric("mse", "MSE", mse, "points", "y²"),
        Metric("rmse", "RMSE", mse, "root of points", "y"),
        Metric("bias", "Bias", bias, "points", "y"),
        Metric("crps", "CRPS", crps, "points", "y"),
        Metric("scaled_crps", "Scaled CRPS", scaled_crps, "mean"),
        Metric("wql", "WQL", wql, "points"),
        Metric("pinball", "Pinball loss", pinball_deciles, "points", "y"),
        Metric("coverage", "Coverage of 90 % intervals", coverage, "mean", best=0.9),
        Metric("width", "Width of 90 % intervals", width, "mean", best=None),
        Metric("msis", "MSIS", msis, "mean"),
        Metric("pit", "Mean PIT", pit, "mean", best=0.5),
        Metric("calibration", "Calibration error", pit, "levels"),
    )
}
