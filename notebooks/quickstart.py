# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quickstart
#
# Which model forecasts my series best, is it better than the simplest one, by how much, and how sure is that? And then: what
# comes next? `jupytext --to ipynb notebooks/quickstart.py` makes a notebook of this file; it runs as a script too.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import forecast as fc

# %% [markdown]
# ## Read
#
# A table in long form (`unique_id, ds, y`) or with a column for each channel; `fc.read_csv("my.csv")` does the same with a file.
# Here: a made-up shop with a weekly rhythm and a day that is missing.

# %%
days = pd.date_range("2026-01-05", periods=180, freq="D")
week = [90, 84, 82, 88, 120, 160, 140]
sold = pd.Series([week[day.weekday()] + 0.1 * place + (place * 37 % 19 - 9) for place, day in enumerate(days)])
sold[100] = float("nan")
panel = fc.read_frame(pd.DataFrame({"ds": days, "sold": sold}))
print(f"{len(panel)} series, {len(panel.values)} rows, {panel.clock.describe()}, season {panel.season}")

# %% [markdown]
# ## Compare
#
# Every model forecasts the same two weeks from the same nine cutoffs and never sees a row after one. The table says `better`,
# `worse` or `cannot tell` beside every model, from bootstrap intervals.

# %%
table = fc.compare(panel, models=["seasonal_naive", "naive2", "theta", "kalman"], horizon=7, cutoffs=9)
ranking = table[table["metric"] == "mase"].set_index("model")
print(ranking[["value", "low", "high", "versus_seasonal_naive"]].round(3))

# %% [markdown]
# ## Forecast
#
# The winner is fitted on all rows; its forecasts are distributions.

# %%
best = ranking.index[0]
model = fc.fit(best, panel, horizon=7)
ahead = fc.predict(model, panel)
print(ahead.set_index("ds")[["mean", "q0.05", "q0.5", "q0.95"]].round(1))

# %%
figure, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.plot(days[-35:], sold[-35:], color="black", label="past")
ax.fill_between(ahead["ds"], ahead["q0.05"], ahead["q0.95"], alpha=0.25, label="90 % interval")
ax.plot(ahead["ds"], ahead["q0.5"], label=f"median ({best})")
ax.legend(frameon=False, ncols=3, loc="upper left")
ax.set_ylim(top=ax.get_ylim()[1] * 1.1)
figure.autofmt_xdate()
