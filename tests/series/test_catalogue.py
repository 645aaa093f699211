"""The catalogue: every set loads, and the protocols reproduce published figures with plain numpy."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch

from forecast.errors import InputError
from forecast.series import catalogue
from forecast.series.catalogue import catalogue as entries
from forecast.series.catalogue import entry_of, load, packaged
from forecast.series.catalogue_detection import DETECTION
from forecast.series.catalogue_forecasting import FORECASTING
from forecast.series.protocol import training_scale

# Repeat (last value) and seasonal naive, MSE and MAE at H = 96, 192, 336, 720. Published: Repeat on weather
# (cure-lab/LTSF-Linear `LTSF-Benchmark.md`); the others were computed once from the raw tables by the same rules.
ANCHORS = {
    ("exchange_rate", 1): (0.0811, 0.1964, 0.1671, 0.2887, 0.3057, 0.3978, 0.8101, 0.6764),
    ("weather", 1): (0.2591, 0.2542, 0.3092, 0.2917, 0.3764, 0.3377, 0.4652, 0.3935),
    ("weather", 144): (0.3167, 0.2880, 0.3426, 0.3049, 0.3827, 0.3309, 0.4431, 0.3701),
    ("etth1", 1): (1.2944, 0.7132, 1.3249, 0.7331, 1.3299, 0.7460, 1.3351, 0.7550),
    ("etth1", 24): (0.5122, 0.4333, 0.5808, 0.4692, 0.6499, 0.5008, 0.6554, 0.5141),
    ("etth2", 1): (0.4317, 0.4216, 0.5337, 0.4725, 0.5973, 0.5109, 0.5945, 0.5190),
    ("etth2", 24): (0.3905, 0.3802, 0.4819, 0.4285, 0.5324, 0.4656, 0.5255, 0.4739),
    ("ettm1", 1): (1.2139, 0.6648, 1.2612, 0.6904, 1.2866, 0.7072, 1.3223, 0.7295),
    ("ettm1", 96): (0.4227, 0.3865, 0.4631, 0.4057, 0.4961, 0.4258, 0.5739, 0.4645),
}
WINDOWS = {
    "etth1": (2785, 2689, 2545, 2161),
    "ettm1": (11425, 11329, 11185, 10801),
    "weather": (10444, 10348, 10204, 9820),
    "exchange_rate": (1422, 1326, 1182, 798),
}


def naive_errors(name: str, season: int, folder: Path, raw: bool = True) -> list[float]:
    """MSE and MAE of the value one season ago at every horizon of the protocol."""
    (data,) = load(name, [folder], raw=raw)
    loc, scale = training_scale(data.panel, data.borders.train)
    scaled = ((data.panel.series(0) - loc) / scale).numpy()
    found = []
    for horizon in data.protocol.horizons:
        ends = data.protocol.cutoffs(data.panel, horizon)[:, 0]
        errors = [scaled[ends + lead] - scaled[ends - season + lead % season] for lead in range(horizon)]
        found += [float(np.mean([np.mean(e**2) for e in errors])), float(np.mean([np.abs(e).mean() for e in errors]))]
    return found


@pytest.mark.parametrize(
    ("name", "season"), [pytest.param(*k, marks=pytest.mark.slow) if k == ("weather", 144) else k for k in ANCHORS]
)
def test_published_naive_rows(name: str, season: int, real_data: Path) -> None:
    np.testing.assert_allclose(naive_errors(name, season, real_data), ANCHORS[name, season], atol=5.1e-5)


@pytest.mark.parametrize("name", WINDOWS)
def test_every_test_window_counts(name: str, real_data: Path) -> None:
    (data,) = load(name, [real_data], raw=True)
    assert tuple(len(data.protocol.cutoffs(data.panel, h)) for h in (96, 192, 336, 720)) == WINDOWS[name]


def test_published_weather_rows_need_the_sentinel(real_data: Path) -> None:
    """With −9999 and the irregular rows repaired the table's figures are out of reach: the protocol says `raw`."""
    (data,) = load("weather", [real_data])
    assert data.protocol.raw
    assert data.panel.values.isnan().sum() == 81 + 9 * 21
    loc, scale = training_scale(data.panel, data.borders.train)
    scaled = ((data.panel.series(0) - loc) / scale).numpy()
    ends = data.protocol.cutoffs(data.panel, 96)[:, 0]
    mse = np.nanmean([np.nanmean((scaled[ends + lead] - scaled[ends - 1]) ** 2) for lead in range(96)])
    assert abs(mse - 0.2591) > 0.01


def test_training_scale_is_that_of_the_tables(real_data: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    (data,) = load("etth1", [real_data])
    loc, scale = training_scale(data.panel, data.borders.train)
    oracle = StandardScaler().fit(data.panel.series(0)[:8640].numpy())
    np.testing.assert_allclose(loc[0], oracle.mean_)
    np.testing.assert_allclose(scale[0], oracle.scale_)


def test_every_name_has_files_and_a_loader() -> None:
    assert set(entries()) == set(FORECASTING) | set(DETECTION)
    assert all(entry.files and entry.licence and entry.source for entry in entries().values())


@pytest.mark.parametrize("name", sorted(FORECASTING | DETECTION))
def test_every_set_loads(name: str, real_data: Path) -> None:
    for data in load(name, [real_data]):
        panel, borders = data.panel, data.borders
        assert panel.values.dtype == torch.float64 and panel.values.shape == (int(panel.first[-1]), len(panel.channels))
        assert len(panel.names) == len(set(panel.names)) == len(panel.lengths) == len(panel.start)
        assert (borders.train > 0).all() and (borders.train <= borders.validation).all()
        assert (borders.validation < borders.test).all() and (borders.test <= panel.lengths).all()
        assert len(panel.times(len(panel) - 1)) == int(panel.lengths[-1])
        if data.labels is not None and len(data.labels):
            assert data.labels.rows(panel).any()
            assert len(list(data.labels.spans(panel))) == len(data.labels)


@pytest.mark.parametrize("name", ["co2", "danish_data", "elec_equip", "elnino", "macrodata", "nile", "sunspots"])
def test_packaged_series_are_those_of_statsmodels(name: str) -> None:
    from importlib import import_module

    theirs = import_module(f"statsmodels.datasets.{name}.data").load_pandas().data
    (data,) = load({"danish_data": "danish_money"}.get(name, name))
    values = theirs[[c for c in theirs.columns if c.lower() not in ("year", "quarter")]].to_numpy(dtype=float)
    ours = data.panel.series(0).numpy()
    np.testing.assert_allclose(ours, values.reshape(len(ours), -1), rtol=1e-6)
    first = {"co2": "1958-03-29", "elnino": "1950-01-01", "sunspots": "1700-01-01", "nile": "1871-01-01"}
    if name in first:
        assert data.panel.times(0)[0] == pd.Timestamp(first[name])


def test_co2_times_are_those_of_statsmodels() -> None:
    (data,) = load("co2")
    assert (data.panel.times(0) == sm.datasets.co2.load_pandas().data.index).all()
    assert data.panel.values.isnan().sum() == 59


def test_m3_has_a_panel_per_frequency(real_data: Path) -> None:
    made = {data.name: data for data in load("m3", [real_data])}
    assert {name: (len(d.panel), d.protocol.horizons, d.panel.season) for name, d in made.items()} == {
        "m3/yearly": (323, (6,), 1),
        "m3/quarterly": (378, (8,), 4),
        "m3/monthly": (714, (18,), 12),
        "m3/other": (87, (8,), 1),
    }
    monthly = made["m3/monthly"]
    assert (monthly.protocol.cutoffs(monthly.panel, 18) == (monthly.panel.lengths - 18).numpy()).all()


def test_m4_hourly_is_whole_and_seasonal_naive_scores_as_published(real_data: Path) -> None:
    """sMAPE 13.912 and MASE 1.193 of the M4 table, with plain numpy on the official cutoffs."""
    (data,) = load("m4_hourly", [real_data])
    assert len(data.panel) == 414 and data.panel.names[0] == "H1"
    smape, mase = [], []
    for s, end in enumerate(data.protocol.cutoffs(data.panel, 48)[0]):
        series = data.panel.series(s)[:, 0].numpy()
        past, actual = series[:end], series[end : end + 48]
        guess = np.tile(past[-24:], 2)
        smape.append(200 * np.mean(np.abs(actual - guess) / (np.abs(actual) + np.abs(guess))))
        mase.append(np.mean(np.abs(actual - guess)) / np.mean(np.abs(past[24:] - past[:-24])))
    assert round(float(np.mean(smape)), 3) == 13.912
    assert round(float(np.mean(mase)), 3) == 1.193


def test_nab_windows_and_rows(real_data: Path) -> None:
    (numbered,) = load("nab", [real_data], raw=True)
    assert len(numbered.panel) == 42 and len(numbered.labels or ()) == 69
    clocks = load("nab", [real_data])
    assert sum(len(d.panel) for d in clocks) == 42 and sum(len(d.labels or ()) for d in clocks) == 69
    observed = sum(int(d.panel.values.isfinite().sum()) for d in clocks)
    repeated = sum(int(note.split(": ")[1].split()[0]) for d in clocks for note in d.notes if "repeated" in note)
    assert observed + repeated == len(numbered.panel.values), "rows are neither lost nor made up"
    taxi = numbered.panel.names.index("realKnownCause/nyc_taxi")
    table = pd.read_csv(real_data / "nab/realKnownCause/nyc_taxi.csv.gz", parse_dates=["timestamp"])
    spans = [(low, high) for _, series, low, high in numbered.labels.spans(numbered.panel) if series == taxi]
    assert [str(table.timestamp[low]) for low, _ in spans][:1] == ["2014-10-30 15:30:00"] and len(spans) == 5
    assert int(numbered.borders.train[taxi]) == 750


def test_skab_prevalence(real_data: Path) -> None:
    """53.4 % of the rows behind the 400 of each file are labelled, so `always alarm` scores F1 .696."""
    scored, normal = load("skab", [real_data], raw=True)
    flags = scored.labels.of_kind("anomaly").rows(scored.panel)
    tested = [part[400:] for part in flags.split(scored.panel.lengths.tolist())]
    assert round(100 * float(torch.cat(tested).double().mean()), 1) == 53.4
    assert len(normal.panel) == 1 and not len(normal.labels)


def test_smd_labels_name_their_metrics(real_data: Path) -> None:
    (data,) = load("smd", [real_data])
    first = data.labels.unique_id.index("machine-2-8")
    assert data.labels.channels[first][:3] == ("metric_1", "metric_2", "metric_3")
    assert data.labels.start[first] == int(data.borders.train[3]) + 17580
    flags = data.labels.rows(data.panel)
    prevalence = [float(f.double().mean()) for f in flags.split(data.panel.lengths.tolist())]
    np.testing.assert_allclose([200 * p for p in prevalence], [15.7, 4.9, 12.0, 0.7, 2.7], atol=0.06)


def test_pjm_has_no_time_twice_and_a_whole_clock(real_data: Path) -> None:
    (data,) = load("pjm_hourly", [real_data])
    aep = data.panel.names.index("AEP")
    times = data.panel.times(aep)
    assert times.is_monotonic_increasing and times.is_unique
    table = pd.read_csv(real_data / "ltsf/pjm_hourly.csv.gz")
    assert int(data.panel.values.isfinite().sum()) == int(table.drop(columns="Datetime").notna().sum().sum())
    noon = times.get_loc(pd.Timestamp("2014-07-01 12:00", tz="America/New_York"))
    assert data.panel.series(aep)[noon, 0] == table.loc[table.Datetime == "2014-07-01 12:00:00", "AEP"].item()


def test_weather_observed_covariates_are_not_scored(real_data: Path) -> None:
    (bike,) = load("bike_sharing", [real_data])
    assert bike.panel.channels[0] == "users" and bike.panel.target.tolist() == [True] + [False] * 7
    assert bike.panel.past([100], context=10).inputs.shape == (1, 10, 2)


def test_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'etth1'"):
        entry_of("eth1")


def test_absent_set_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"forecast fetch name=etth1"):
        load("etth1", [tmp_path])
    with pytest.raises(InputError, match=r"set FORECAST_DATA"):
        load("m4_hourly", [tmp_path])


def test_changed_file_is_refused(tmp_path: Path, real_data: Path) -> None:
    text = gzip.decompress((real_data / "ett/ETTh1.csv.gz").read_bytes())
    (tmp_path / "ett").mkdir()
    (tmp_path / "ett/ETTh1.csv").write_bytes(text)
    assert len(load("etth1", [tmp_path])[0].panel.values) == 17420, "the plain text is as good as the compressed one"
    for changed in (text[:-1], text + b"\n", text.replace(b"30.531", b"30.532", 1)):
        (tmp_path / "ett/ETTh1.csv").write_bytes(changed)
        with pytest.raises(InputError, match=r"the catalogue's .* fetch it again"):
            load("etth1", [tmp_path])
    (tmp_path / "ett/ETTh1.csv").write_bytes(gzip.compress(text)[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        load("etth1", [tmp_path])


def test_packaged_folder_comes_first(tmp_path: Path) -> None:
    (tmp_path / "co2.csv").write_text("something else")
    assert catalogue.find(entry_of("co2").files[0], [tmp_path]) == packaged() / "co2.csv"
