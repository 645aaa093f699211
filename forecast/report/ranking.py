"""Who is better: the leaderboard, the series one by one, what it cost and what failed."""

from collections.abc import Iterable

import pandas as pd

from forecast.report import figures
from forecast.report.numbers import Listing, listing, number, seconds
from forecast.report.section import HALF, WIDE, Section, picture
from forecast.report.tables import REFERENCE, Tables, title


def not_kept(models: Iterable[str]) -> str:
    """What a reader has to know of models whose trained weights gained nothing."""
    who = f"The trained weights of {_some(list(models))} gain nothing on the validation rows and are not kept"
    return f"{who}: the figures are those from before training, of deep members those of lti."


def leaderboard(tables: Tables) -> Section:
    """Which model is best, and is it better than seasonal naive?"""
    one = tables.leaderboard[tables.leaderboard["metric"] == tables.metric]
    scored = one[one["value"].notna()]
    finding = _finding(tables, one)
    if scored.empty:
        return Section("Which model", finding)
    interval = ", with 95 % intervals" if scored["low"].notna().any() else "; no interval can be drawn"
    label = f"{tables.title}{interval}"
    alt = f"{finding} {'; '.join(f'{m} {number(v)}' for m, v in zip(scored['model'], scored['value'], strict=True))}."
    drawn = picture(
        alt,
        lambda ax: figures.plot_leaderboard(ax, one, REFERENCE, label),
        (HALF[0], max(HALF[1], 1.4 + 0.4 * len(scored))),
    )
    return Section("Which model", finding, [drawn], half=True)


def _finding(tables: Tables, one: pd.DataFrame) -> str:
    """How many beat seasonal naive, and which could not be scored."""
    others = one[(one["model"] != REFERENCE) & one["value"].notna()]
    better = list(others.loc[others["versus_seasonal_naive"] == "better", "model"])
    lost = list(one.loc[one["value"].isna(), "model"])
    if REFERENCE not in set(one["model"]):
        said = f"{tables.best} comes first of {len(others)} by {tables.title}; smaller is better."
    elif (others["versus_seasonal_naive"] == "").all() and len(others):
        said = f"{tables.best} comes first by {tables.title}; whether by chance cannot be told."
    elif others.empty:
        said = ""
    else:
        names = f": {_some(better)}" if better else ""
        said = f"{len(better)} of {len(others)} models are better than seasonal naive by {tables.title}{names}."
    said += f" No forecast to score from {_some(lost)}." if lost else ""
    return (said + (f" {not_kept(tables.notes)}" if tables.notes else "")).strip()


def _some(names: list[str], most: int = 4) -> str:
    """`a, b, c and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def metrics(tables: Tables) -> Section:
    """Every metric of every model, and the verdicts."""
    words = list(dict.fromkeys(tables.leaderboard["metric"]))
    wide = tables.leaderboard.pivot(index="model", columns="metric", values="value").loc[tables.models, words]
    noted = {model: f"{model} ({note})" for model, note in tables.notes.items()}
    wide = wide.rename(columns=title, index=noted).reset_index()
    verdicts = tables.leaderboard.assign(metric=tables.leaderboard["metric"].map(title))
    folded = listing(verdicts, "With intervals and verdicts", "leaderboard.csv")
    return Section("All metrics", "", [], [listing(wide, "", folded=False), folded])


def ranks(tables: Tables) -> Section | None:
    """Are the ranks more than chance, and who beats whom how often?"""
    said = tables.summary["ranks"]
    if said["distance"] is None or len(tables.ranks) < 3:
        return None
    chance = "the ranks could be chance" if said["p"] > 0.05 else "the ranks are more than chance"
    where = f"{said['units']} {said['of']}"
    finding = (
        f"Over {where} {chance} (Friedman p {_probability(said['p'])}); "
        f"models less than {number(said['distance'])} ranks apart cannot be told from one another (Nemenyi, 5 %)."
    )
    order = "; ".join(f"{m} {number(r)}" for m, r in tables.ranks[["model", "rank"]].itertuples(index=False))
    drawn = picture(
        f"{finding} Mean ranks: {order}.",
        lambda ax: figures.plot_ranks(ax, tables.ranks, said["groups"]),
        (WIDE[0], 1.6 + 0.34 * len(tables.ranks)),
    )
    wide = tables.pairs.rename(columns={"win_rate": "share won", "tested": "series tested"})
    tested = "better and worse: series by Diebold-Mariano, false discoveries held at 5 %"
    return Section("Ranks", finding, [drawn], [listing(wide, f"Model against model ({tested})", "pairs.csv")])


def _probability(p: float) -> str:
    return "< 0.001" if p < 1e-3 else number(p)


def series(tables: Tables) -> Section | None:
    """Which series are hard?"""
    worst = tables.hardest
    if len(worst) < 2:
        return None
    one = tables.scores[tables.scores["metric"] == tables.metric]
    wide = one.pivot_table(index="unique_id", columns="model", values="value", aggfunc="mean")
    wide = wide.reindex(columns=tables.models).loc[worst]
    firsts = int((wide.idxmin(axis=1) == tables.best).sum())
    finding = f"{tables.best} has the smallest error on {firsts} of {len(wide)} series; its worst is {worst[0]}."
    wide = wide.reset_index()
    few = listing(wide.head(10), f"{tables.title}, the worst first", folded=False)
    rest = [listing(wide, "All series", "scores.parquet")] if len(wide) > 10 else []
    return Section("Which series are hard", finding, [], [few, *rest])


def costs(tables: Tables) -> Section:
    """What did it cost, and what failed?"""
    order = {model: place for place, model in enumerate(tables.models)}
    cost = tables.cost.sort_values("model", key=lambda column: column.map(order))
    columns = ("model", "fitting, CPU s", "forecasting, CPU s", "memory, MB", "parameters")
    rows = [
        (str(model), seconds(fit), seconds(predict), f"{memory:,.1f}", number(count))
        for model, fit, predict, memory, count in cost.itertuples(index=False)
    ]
    failed = {model: count for model, count in tables.summary["failures"].items() if count}
    finding = "No model failed on any series."
    if failed:
        finding = "; ".join(f"{m} failed {n:,} time{'' if n == 1 else 's'}" for m, n in failed.items()) + "."
    if failed and tables.summary.get("stand_in"):
        finding += f" {tables.summary['stand_in']} stands in there."
    extra = [listing(tables.failures, "Failures", "failures.csv")] if len(tables.failures) else []
    return Section("Cost and failures", finding, [], [Listing("", columns, rows, folded=False), *extra])
