"""Forecasts beside what happened: one typical case, and every cutoff of one series."""

from typing import Any

from forecast.report import figures
from forecast.report.numbers import listing, moment, number
from forecast.report.section import HALF, Section, picture
from forecast.report.tables import Tables


def fan(tables: Tables) -> Section | None:
    """What does the winner's forecast look like beside what happened?"""
    if tables.won.empty:
        return None
    name, cutoff = typical(tables)
    one = tables.won[(tables.won["unique_id"] == name) & (tables.won["cutoff"] == cutoff)]
    history = tables.history[tables.history["unique_id"] == name]
    past = max(3 * int(tables.summary["season"]), 3 * int(tables.summary["horizon"]), 24)
    inside, seen = int(one["y"].between(one["q0.05"], one["q0.95"]).sum()), int(one["y"].notna().sum())
    where = f"{tables.best} on {name} from {moment(cutoff)}, a case of middling error"
    finding = f"{where}: {inside} of {seen} outcomes lie in the 90 % interval."
    drawn = picture(finding, lambda ax: figures.plot_fan(ax, history, one, past), HALF)
    table = listing(one.drop(columns=["unique_id", "model", "cutoff"]), "The numbers", "forecasts.parquet")
    return Section("The forecast beside what happened", finding, [drawn], [table], half=True)


def typical(tables: Tables) -> tuple[str, Any]:
    """Series and cutoff whose error by the winner is the median one."""
    ranked = tables.errors.sort_values("value", kind="stable")
    row = tables.won.iloc[0] if ranked.empty else ranked.iloc[len(ranked) // 2]
    return str(row["unique_id"]), row["cutoff"]


def cutoffs(tables: Tables) -> Section | None:
    """Where along the hardest series does the winner fail?"""
    if tables.errors.empty:
        return None
    name = tables.hardest[0]
    one = tables.won[tables.won["unique_id"] == name]
    errors = tables.errors[tables.errors["unique_id"] == name]
    if one["cutoff"].nunique() < 2:
        return None
    worst = errors.sort_values("value").iloc[-1]
    history = tables.history[tables.history["unique_id"] == name]
    said = f"worst from {moment(worst['cutoff'])} ({tables.title} {number(worst['value'])})"
    finding = f"{tables.best} on {name}, all {len(errors)} cutoffs: {said}."
    drawn = picture(finding, lambda ax: figures.plot_strip(ax, history, one, worst["cutoff"]))
    table = errors[["cutoff", "value"]].rename(columns={"value": tables.title})
    return Section("Every cutoff", finding, [drawn], [listing(table, "Error by cutoff", "scores.parquet")])
